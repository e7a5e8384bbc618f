"""The release in memory: loading, trying, swapping and rolling back its bundle, and scoring next to it."""
