"""Continuous delivery for machine-learning models, built as a Dagster asset graph."""

from ml_assets import first_party  # the source is fixed before any other module is imported

__all__ = ["first_party"]
