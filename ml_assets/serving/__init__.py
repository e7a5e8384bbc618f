"""The endpoint: serves one release of one product over HTTP. No Dagster, MLflow or snapshot store in here."""
