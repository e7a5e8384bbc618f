"""Outcomes of served predictions: when they are complete, and what they say of the releases that served. Pure."""
