"""Ids of predictions: UUID version 7, which sort by time and say nothing else."""

import os
import re
import time
from functools import cache
from itertools import islice
from random import Random

ID_LENGTH = 36

_FORM = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}")
_random = Random()
"""Seeded by the system: identifiers differ between processes, and need not be secret."""
os.register_at_fork(after_in_child=_random.seed)


def prediction_ids(count: int) -> list[str]:
    """Make at most 4096 ids of one moment, in sorted order. Those of calls a quarter of a microsecond later sort after them.

    They end in the same 48 random bits.
    """
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    head = "%08x-%04x-7%03x-8" % (milliseconds >> 16, milliseconds & 0xFFFF, rest * 4096 // 1_000_000)  # noqa: UP031 half the time
    tail = "-%012x" % _random.getrandbits(48)  # noqa: UP031
    return [f"{head}{number}{tail}" for number in islice(_numbers(), count)]


@cache
def _numbers() -> list[str]:
    """The digits that tell the ids of one moment apart; cached, as formatting a number takes longer than the rest of an id."""
    return [f"{number:03x}" for number in range(4096)]


def prediction_id() -> str:
    """Make one id."""
    return prediction_ids(1)[0]


def is_prediction_id(text: str) -> bool:
    """Whether the text has the form of an id."""
    return _FORM.fullmatch(text) is not None
