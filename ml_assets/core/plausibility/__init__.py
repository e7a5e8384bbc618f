"""Whether a delivered partition is plausible beside the ones before it, asked before anything is trained on it."""
