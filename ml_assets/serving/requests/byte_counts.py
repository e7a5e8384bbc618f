"""Counts in a body before and after it is parsed: by NumPy in a large one, where bytes.count takes longer than parsing.

CPython compares one byte after the other: for 100 rows that was a third of the time of the request.
"""

import numpy as np

LARGE_BYTES = 4096
"""From here on NumPy is the faster one; what it needs to begin is more than a small body's count."""
_UP_TO_QUOTE = bytes([*b'"' * 35, *range(35, 256)])
"""White space, and little else, as quotes."""


def count(body: bytes, byte: bytes) -> int:
    """How often the byte is in the body."""
    if len(body) < LARGE_BYTES:
        return body.count(byte)
    return int(np.count_nonzero(np.frombuffer(body, np.uint8) == byte[0]))


def colons(body: bytes) -> int:
    """How many colons follow a quote or white space: at least one for each name of a field in JSON."""
    if len(body) < LARGE_BYTES:
        return body.translate(_UP_TO_QUOTE).count(b'":')
    values = np.frombuffer(body, np.uint8)
    return int(np.count_nonzero((values[1:] == ord(":")) & (values[:-1] <= ord('"'))))
