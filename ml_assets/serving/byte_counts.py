"""Looking a body through before and after it is parsed, a large one several times as fast as bytes.count does.

CPython compares one byte after the other.
"""

import numpy as np

LARGE_BYTES = 4096
"""From here on NumPy is the faster one; what it needs to begin is more than a small body's count."""
_QUOTE, _COLON, _SPACE = b'": '


def count(body: bytes, byte: bytes) -> int:
    """How often the byte is in the body."""
    if len(body) < LARGE_BYTES:
        return body.count(byte)
    return int(np.count_nonzero(np.frombuffer(body, np.uint8) == byte[0]))


def is_over(body: bytes, byte: bytes, most: int) -> bool:
    """Whether the byte is there more than `most` times; for one that is rare this is the fastest."""
    at = -1
    for _ in range(most + 1):
        at = body.find(byte, at + 1)
        if at < 0:
            return False
    return True


def colons(body: bytes) -> tuple[int, bool]:
    """How many colons follow a quote, and whether any may follow white space."""
    if len(body) < LARGE_BYTES:
        return body.count(b'":'), b" :" in body or b"\n" in body or b"\t" in body or b"\r" in body
    values = np.frombuffer(body, np.uint8)
    is_colon, before = values[1:] == _COLON, values[:-1]
    return int(np.count_nonzero(is_colon & (before == _QUOTE))), bool((is_colon & (before <= _SPACE)).any())
