"""Derive from all moves of an endpoint, for many partitions at once, the champion to compare with and the release that served."""

from collections.abc import Collection, Mapping, Sequence

from ml_assets.core.release.promotion import Move, stack


def champions(
    moves: Sequence[Move],
    evaluations: Mapping[str, str],
    evaluation_of: Mapping[str, str],
    recalled: Collection[str] = (),
    *,
    is_anchor: bool = False,
) -> dict[str, str | None]:
    """For each evaluated partition the bundle to compare with: the last moved to (and not rolled back) as of it or
    earlier, passing over what came out of this very evaluation. With `is_anchor` only what was proven and not recalled counts.

    `evaluations`: data version by partition; `evaluation_of`: that of the evaluation that a bundle was made from;
    `recalled`: bundles that were recalled or made from what was.
    """
    counting = (move for move in stack(moves) if not is_anchor or (move.is_proven and move.bundle not in recalled))
    counted = list(enumerate(counting))
    before = _last_before(counted, list(evaluations))
    own: dict[str, list[tuple[int, Move]]] = {}
    for number, move in counted:
        own.setdefault(move.as_of, []).append((number, move))
    champion_of: dict[str, str | None] = {}
    for key, evaluation in evaluations.items():
        same = [numbered for numbered in own.get(key, []) if evaluation_of.get(numbered[1].bundle) != evaluation]
        latest = max(filter(None, [before[key], same[-1] if same else None]), default=None, key=lambda numbered: numbered[0])
        champion_of[key] = latest[1].bundle if latest else None
    return champion_of


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
