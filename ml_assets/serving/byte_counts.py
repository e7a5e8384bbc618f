"""Counting in a body as bytes.count does, but in a large one several times as fast.

A body is looked through before it is parsed, and CPython compares one byte after the other.
"""

import numpy as np

LARGE_BYTES = 4096
"""From here on NumPy is the faster one; what it needs to begin is more than a small body's count."""


def count(body: bytes, what: bytes) -> int:
    """How often `what`, which is one byte or two different ones, is in the body."""
    if len(body) < LARGE_BYTES:
        return body.count(what)
    values = np.frombuffer(body, np.uint8)
    if len(what) == 1:
        return int(np.count_nonzero(values == what[0]))
    first, second = what
    return int(np.count_nonzero((values[:-1] == first) & (values[1:] == second)))
