"""Mistakes that keep a declared product from running: whether its files fit together. Reads no data."""
