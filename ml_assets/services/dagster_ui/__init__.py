"""What a person sees of an asset in Dagster's UI: pictures, schemas, counts."""
