"""Who decides: the keys that people are known by, and what each may decide."""
