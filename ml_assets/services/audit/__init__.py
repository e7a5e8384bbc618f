"""Questions to the ledger in both directions: what was this made from, and what was made from it."""
