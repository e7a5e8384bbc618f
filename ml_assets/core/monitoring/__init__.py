"""How releases do on rows that came after them: those that serve, and those that are tried beside them."""
