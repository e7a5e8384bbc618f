"""Asking a test window about candidates: the new one, and the one that is kept."""
