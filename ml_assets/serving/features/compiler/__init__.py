"""features.sql compiled to numpy, for the SQL whose results are known to be DuckDB's."""
