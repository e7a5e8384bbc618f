"""features.sql compiled to NumPy, for the SQL whose results are known to be DuckDB's."""
