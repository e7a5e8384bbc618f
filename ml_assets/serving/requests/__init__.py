"""Strict requests: fields and their types, parsing, refusals."""
