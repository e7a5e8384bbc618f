"""Whether a release may start to answer: a pure decision from what is recorded."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from ml_assets.core.release.approvals import NOBODY_ASKED, Consent

SHORTEST_PREFIX = 6
"""Fewer digits of a digest name nothing."""

Action = Literal["promote", "keep", "wait", "refuse"]


@dataclass(frozen=True)
class Move:
    """One recorded move of an endpoint: to which bundle (digest), as of which partition, by which kind of act.

    `is_proven`: the release was proven better than the anchor of its time, so it became one.
    """

    bundle: str
    release: str
    as_of: str
    kind: Literal["promotion", "rollback"]
    is_proven: bool = True


@dataclass(frozen=True)
class Decision:
    """What to do with the pointer, and why."""

    action: Action
    reasons: tuple[str, ...]


def decide(
    *,
    bundle: str,
    as_of: str,
    champion: str | None,
    moves: Sequence[Move],
    unproven: Sequence[str],
    recalled: Collection[str] = (),
    consent: Consent = NOBODY_ASKED,
    is_verdict_used: bool = False,
) -> Decision:
    """Decide for a release `bundle` whose verdict compared it with `champion`, given all moves so far (oldest first).

    `consent` is where it stands with people: what only lacks their approval waits, what one of them refused stays out.
    `is_verdict_used` says that what answers was let through by the same evaluation: the release is the same model, packed again.

    A release that answered before is never promoted again by itself, and an older one never replaces a newer one:
    going back is a rollback, a separate act. Bundles that were `recalled` are nobody's champion, even while one answers:
    the comparison is then with the last that was not.
    """
    if bundle in recalled:
        return Decision("refuse", (*unproven, "it was recalled, or made from what was"))
    if moves and moves[-1].bundle == bundle:
        return Decision("keep", ("it answers already",))
    if any(move.bundle == bundle for move in moves):
        return Decision("keep", ("it answered before and was replaced; only a rollback brings it back",))
    if is_verdict_used:
        return Decision("keep", ("its evaluation let through what answers already: the same model, packed again",))
    if consent.state == "refused":
        return Decision("keep", (consent.told,))
    answering = _standing(moves, recalled)
    if answering and answering.as_of > as_of:
        return Decision("keep", (f"release {answering.release}, as of a later partition, answers",))
    reasons = list(unproven)
    if (now := answering.bundle if answering else None) != champion:
        reasons.append(f"its verdict compares with {_short(champion)}, but {_short(now)} answers now")
    if reasons:
        return Decision("refuse", tuple(reasons))
    return Decision("wait", (consent.told,)) if consent.state == "waits" else Decision("promote", ())


def stack(moves: Sequence[Move]) -> list[Move]:
    """The releases that one could go back through, oldest first; the last one answers.

    A rollback takes off what it undid.
    """
    releases: list[Move] = []
    for move in moves:
        back_to = [i for i, earlier in enumerate(releases) if earlier.bundle == move.bundle] if move.kind == "rollback" else []
        if back_to:
            del releases[back_to[-1] + 1 :]
        else:
            releases.append(move)
    return releases


def _standing(moves: Sequence[Move], recalled: Collection[str]) -> Move | None:
    """The move to what answers, or, when that was recalled, the last on the stack that was not."""
    if moves and moves[-1].bundle not in recalled:
        return moves[-1]
    return next((move for move in reversed(stack(moves)) if move.bundle not in recalled), None)


def back(moves: Sequence[Move], *, to: str | None = None, recalled: Collection[str] = ()) -> Move | None:
    """Where a rollback goes: one down the stack, or to the newest move to another release that is named `to`; never to
    one that was recalled.

    A name is the release's own or the start of its bundle's digest; every release that ever answered can be named.
    """
    barred = {*recalled, *(move.bundle for move in moves[-1:])}
    others = [move for move in (stack(moves)[:-1] if to is None else moves) if move.bundle not in barred]
    matches = [move for move in others if to is None or _is_named(move, to)]
    return matches[-1] if matches else None


def _is_named(move: Move, name: str) -> bool:
    return name == move.release or (len(name) >= SHORTEST_PREFIX and move.bundle.startswith(name))


def _short(bundle: str | None) -> str:
    return f"release {bundle[:12]}" if bundle else "no champion"
