"""Continuous delivery for machine-learning models, built as a Dagster asset graph."""
