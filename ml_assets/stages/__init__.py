"""The assets, one file a stage: read, call a builder, return. Belongs here: what Dagster is told. Does not: what is computed."""
