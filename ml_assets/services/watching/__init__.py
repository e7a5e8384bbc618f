"""What is known of partitions beside each other: their summaries, whether one is plausible, and whether data and scores drift."""
