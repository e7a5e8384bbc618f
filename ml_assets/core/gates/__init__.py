"""The decision "may this candidate answer?": claims tested on rows that come in independent units (docs/gates.md)."""
