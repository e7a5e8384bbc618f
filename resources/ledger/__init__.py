"""The append-only, hash-chained record, and what is kept in it: decisions, recalls, budgets, erasures."""
