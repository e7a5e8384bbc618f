"""Lineage as one HTML page that needs nothing from anywhere else."""
