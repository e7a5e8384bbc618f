"""Canonical JSON and SHA-256: how everything in the project gets its name."""

import hashlib
import json
from pathlib import Path
from typing import Any

CHUNK_BYTES = 1 << 20


def canonical_json(value: Any) -> bytes:
    """UTF-8 JSON with sorted keys and no spaces; equal values give equal bytes.

    What JSON would not give back raises ValueError: NaN, infinity, and keys that are not text.
    """
    _refuse_other_keys(value)
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def _refuse_other_keys(value: Any) -> None:
    if isinstance(value, dict):
        if other := [key for key in value if not isinstance(key, str)]:
            raise ValueError(f"keys must be text to come back from JSON as they were; found {other[0]!r}")
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            _refuse_other_keys(item)


def sha256(content: bytes) -> str:
    """Hexadecimal SHA-256 of the bytes (64 characters)."""
    return hashlib.sha256(content).hexdigest()


def digest_json(value: Any) -> str:
    """SHA-256 of the value's canonical JSON."""
    return sha256(canonical_json(value))


def digest_file(path: Path) -> str:
    """SHA-256 of a file's bytes, read in chunks."""
    state = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            state.update(chunk)
    return state.hexdigest()
