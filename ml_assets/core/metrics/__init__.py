"""Measuring: metrics, their intervals by unit, drift. Knows no claim and no verdict."""
