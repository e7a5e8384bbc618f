"""Whether a delivered partition is plausible compared with the ones before it, asked before anything is trained on it."""
