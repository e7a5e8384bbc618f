"""Clients over HTTP, with the standard library alone."""
