"""Asking a test window about candidates, the new one and the one that is kept; and what people want to know around a verdict."""
