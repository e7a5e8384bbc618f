"""Which release serves where: moves in the ledger, the pointer file that follows, and what is tried beside it."""
