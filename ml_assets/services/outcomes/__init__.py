"""Outcomes of served predictions: gathered, read back, and what follows for the releases that served."""
