"""The reference path from requests to scores: features.sql on DuckDB, then CatBoost itself."""
