"""Immutable bytes under their SHA-256, and snapshots made of them."""
