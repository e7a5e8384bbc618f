"""Derive from all moves of an endpoint, for many partitions at once, the release that served."""

from collections.abc import Sequence

from ml_assets.core.release.promotion import Move


def answered(moves: Sequence[Move], keys: Sequence[str]) -> dict[str, str | None]:
    """For each partition the bundle that production last moved to, of those as of an earlier partition."""
    last = _last_before(list(enumerate(moves)), keys)
    return {key: numbered[1].bundle if numbered else None for key, numbered in last.items()}


def _last_before(moves: Sequence[tuple[int, Move]], keys: Sequence[str]) -> dict[str, tuple[int, Move] | None]:
    """For each key the latest move as of an earlier partition; one walk over both."""
    ordered = sorted(moves, key=lambda numbered: numbered[1].as_of)
    last_by_key: dict[str, tuple[int, Move] | None] = {}
    last: tuple[int, Move] | None = None
    position = 0
    for key in sorted(keys):
        while position < len(ordered) and ordered[position][1].as_of < key:
            if last is None or ordered[position][0] > last[0]:
                last = ordered[position]
            position += 1
        last_by_key[key] = last
    return last_by_key
