"""The record for others: OpenLineage events, and the ledger as JSON lines that anyone can check."""
