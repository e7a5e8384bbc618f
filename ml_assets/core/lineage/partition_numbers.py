"""The numbers of partition keys, each key parsed once in a process: where thousands are listed and then compared."""

from collections.abc import Iterable, Iterator
from functools import cache

from ml_assets.core.lineage.partitions import PartitionKeyError, Partitions


def ordinal(calendar: Partitions, key: str) -> int:
    """`calendar.ordinal(key)`: one more for the next partition. Raises PartitionKeyError for what is not a key."""
    numbers = _numbers(calendar)
    if (number := numbers.get(key)) is None:
        number = numbers[key] = calendar.ordinal(key)
    return number


def ordinals(calendar: Partitions, names: Iterable[str]) -> Iterator[tuple[str, int]]:
    """Those of the names that are keys of the calendar, and their numbers."""
    numbers = _numbers(calendar)
    for name in names:
        if (number := numbers.get(name)) is None:
            try:
                number = ordinal(calendar, name)
            except PartitionKeyError:
                continue
        yield name, number


@cache
def _numbers(calendar: Partitions) -> dict[str, int]:
    return {}
