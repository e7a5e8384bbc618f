"""The decision "may this candidate serve?": claims tested on rows that come in independent units (docs/gates.md)."""
