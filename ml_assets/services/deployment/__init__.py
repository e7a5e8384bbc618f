"""Deploying after a merge: what a running Dagster reports, what it launches, and what came of it; all by its GraphQL API."""
