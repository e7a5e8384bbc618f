"""The pure core: calendar, contract, metrics, verdict. No Dagster, no MLflow, no clock, no settings."""
