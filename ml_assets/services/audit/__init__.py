"""What made this, and what did this touch: questions to the ledger, in both directions."""
