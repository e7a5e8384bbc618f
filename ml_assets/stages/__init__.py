"""The assets, one file per stage: read, call a builder, return. Belongs here: Dagster's side. Does not: what is computed."""
