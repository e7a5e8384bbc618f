"""dbt on DuckDB, in this process: parse a product's project, run it, test it, describe it."""
