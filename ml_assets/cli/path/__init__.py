"""Commands that take partitions down the path."""
