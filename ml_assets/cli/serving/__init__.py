"""Commands that serve, and show what serves."""
