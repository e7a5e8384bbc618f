"""The prediction log: every prediction as a record, in Parquet files that are whole or absent."""
