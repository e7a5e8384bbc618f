"""Simulated data with a known truth, on which promises about error rates are measured: nothing of the product uses it."""
