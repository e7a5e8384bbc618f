"""Metadata that people see on an asset in Dagster's UI: pictures, schemas, counts."""
