"""Helpers that several commands share: products, jobs, progress, references, tables."""
