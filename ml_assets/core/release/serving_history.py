"""Who was to be compared with and who answered, for many partitions at once, from all moves of an endpoint. Pure."""

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
    earlier, passing over what came out of this very evaluation. With `is_anchor` only what was proven counts.

    `evaluations`: data version by partition; `evaluation_of`: that of the evaluation that a bundle was made from;
    `recalled`: bundles that are champions no more.
    """
    counting = (move for move in stack(moves) if move.bundle not in recalled and (move.is_proven or not is_anchor))
    standing = list(enumerate(counting))
    before = _last_before(standing, list(evaluations))
    own: dict[str, list[tuple[int, Move]]] = {}
    for number, move in standing:
        own.setdefault(move.as_of, []).append((number, move))
    found: dict[str, str | None] = {}
    for key, evaluation in evaluations.items():
        same = [each for each in own.get(key, []) if evaluation_of.get(each[1].bundle) != evaluation]
        latest = max(filter(None, [before[key], same[-1] if same else None]), default=None, key=lambda each: each[0])
        found[key] = latest[1].bundle if latest else None
    return found


def answered(moves: Sequence[Move], keys: Sequence[str]) -> dict[str, str | None]:
    """For each partition the bundle that production last moved to, of those as of an earlier partition."""
    last = _last_before(list(enumerate(moves)), keys)
    return {key: each[1].bundle if each else None for key, each in last.items()}


def _last_before(moves: Sequence[tuple[int, Move]], keys: Sequence[str]) -> dict[str, tuple[int, Move] | None]:
    """For each key the latest move as of an earlier partition; one walk over both."""
    ordered = sorted(moves, key=lambda each: each[1].as_of)
    found: dict[str, tuple[int, Move] | None] = {}
    last: tuple[int, Move] | None = None
    position = 0
    for key in sorted(keys):
        while position < len(ordered) and ordered[position][1].as_of < key:
            if last is None or ordered[position][0] > last[0]:
                last = ordered[position]
            position += 1
        found[key] = last
    return found
