"""The endpoint: one release of one product answering over HTTP. No Dagster, MLflow or snapshot store in here."""
