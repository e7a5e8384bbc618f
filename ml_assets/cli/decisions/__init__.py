"""Commands by which people decide what serves."""
