"""Counts bytes of a body: by NumPy in a large one, where bytes.count takes longer than parsing.

CPython compares byte by byte: for 100 rows that was a third of the time of the request.
"""

import numpy as np

LARGE_BYTES = 4096
"""From here on NumPy is faster; its overhead is more than the count of a smaller body takes."""
_UP_TO_QUOTE = bytes([*b'"' * 35, *range(35, 256)])
"""White space, and little else, as quotes."""


def count(body: bytes, byte: bytes) -> int:
    """Count the byte in the body."""
    if len(body) < LARGE_BYTES:
        return body.count(byte)
    return int(np.count_nonzero(np.frombuffer(body, np.uint8) == byte[0]))


def colons(body: bytes) -> int:
    """Count the colons after a quote or white space: at least one for each field name in JSON."""
    if len(body) < LARGE_BYTES:
        return body.translate(_UP_TO_QUOTE).count(b'":')
    values = np.frombuffer(body, np.uint8)
    return int(np.count_nonzero((values[1:] == ord(":")) & (values[:-1] <= ord('"'))))
