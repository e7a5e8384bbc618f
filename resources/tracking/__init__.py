"""MLflow: the catalogue where people look runs and releases up. Never the authority."""
