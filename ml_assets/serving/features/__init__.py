"""From requests to the model's input: by DuckDB, or by a compiled function that is proven to give DuckDB's values."""
