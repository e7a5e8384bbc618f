"""The numbers of partition keys, each key parsed once in a process: where thousands are listed and then compared."""

from functools import cache

from ml_assets.core.lineage.partitions import Partitions


@cache
def ordinal(calendar: Partitions, key: str) -> int:
    """`calendar.ordinal(key)`: one more for the next partition. Raises PartitionKeyError for what is not a key."""
    return calendar.ordinal(key)
