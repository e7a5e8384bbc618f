"""Partitions compared with each other: their summaries, whether one is plausible, and whether data and scores drift."""
