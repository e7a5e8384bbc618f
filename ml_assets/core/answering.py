"""Who was to be compared with and who answered, for many partitions at once, from all moves of an endpoint. Pure."""

from collections.abc import Collection, Mapping, Sequence

from ml_assets.core.promotion import Move, stack


def champions(
    moves: Sequence[Move],
    evaluations: Mapping[str, str],
    evaluation_of: Mapping[str, str],
    recalled: Collection[str] = (),
) -> dict[str, str | None]:
    """For each evaluated partition the bundle to compare with: the last moved to (and not rolled back) as of it or
    earlier, passing over what came out of this very evaluation.

    `evaluations`: data version by partition; `evaluation_of`: that of the evaluation that a bundle was made from;
    `recalled`: bundles that are champions no more.
    """
    standing = [(number, move) for number, move in enumerate(_stacked(moves)) if move.bundle not in recalled]
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


def _stacked(moves: Sequence[Move]) -> list[Move]:
    """The stack of the moves. What comes after the last rollback is only added, and need not be looked at."""
    last = max((number for number, move in enumerate(moves, 1) if move.kind == "rollback"), default=0)
    return [*stack(moves[:last]), *moves[last:]]


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
