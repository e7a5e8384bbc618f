"""The performance of releases on rows that came after them: those that serve, and those that are tried next to them."""
