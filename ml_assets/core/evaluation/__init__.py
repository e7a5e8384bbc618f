"""Candidate, champion and anchor on the same unseen rows: measured, judged, and written down for people."""
