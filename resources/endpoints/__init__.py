"""Which release serves where: moves in the ledger, the pointer file that follows, and the release that is tried next to it."""
