"""Decide from recorded entries whether a release may start to serve. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from ml_assets.core.release.approvals import NOT_ASKED, Approvals

SHORTEST_PREFIX = 6
"""A shorter prefix of a digest is not taken as a name."""

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
    """The action to take on the endpoint, and the reasons for it."""

    action: Action
    reasons: tuple[str, ...]


def decide(
    *,
    bundle: str,
    as_of: str,
    champion: str | None,
    moves: Sequence[Move],
    unproven: Sequence[str],
    withheld: Sequence[str] = (),
    recalled: Collection[str] = (),
    approvals: Approvals = NOT_ASKED,
    is_verdict_used: bool = False,
) -> Decision:
    """Decide about a release `bundle` whose verdict compared it with `champion`, given all moves so far (oldest first).

    `withheld`: why the product keeps it out of production although it is proven; the release that serves goes on serving.
    `approvals` sums up people's decisions: a release that lacks only their approval waits, one that anyone refused stays out.
    `is_verdict_used`: the same evaluation let the release that serves through, so this one is the same model, packed again.

    A release that served before is never promoted again by itself, and an older one never replaces a newer one: going back
    is a rollback, a separate act. A `recalled` bundle is not promoted; while it serves, it is what a candidate is compared with.
    """
    if bundle in recalled:
        return Decision("refuse", (*unproven, "it was recalled, or made from what was"))
    if moves and moves[-1].bundle == bundle:
        return Decision("keep", ("it already serves",))
    if any(move.bundle == bundle for move in moves):
        return Decision("keep", ("it served before and was replaced; only a rollback brings it back",))
    if is_verdict_used:
        return Decision("keep", ("its evaluation already let through the release that serves: the same model, packed again",))
    if approvals.state == "refused":
        return Decision("keep", (approvals.message,))
    serving = moves[-1] if moves else None
    if serving and serving.as_of > as_of:
        return Decision("keep", (f"release {serving.release}, as of a later partition, serves",))
    reasons = list(unproven)
    if (now := serving.bundle if serving else None) != champion:
        reasons.append(f"its verdict compares with {_short(champion)}, but {_short(now)} serves now")
    if reasons:
        return Decision("refuse", tuple(reasons))
    if withheld:
        return Decision("keep", tuple(withheld))
    return Decision("wait", (approvals.message,)) if approvals.state == "waits" else Decision("promote", ())


def stack(moves: Sequence[Move]) -> list[Move]:
    """The releases that a rollback can go back through, oldest first; the last one serves.

    A rollback removes the releases that it undid.
    """
    releases: list[Move] = []
    for move in moves:
        back_to = [i for i, earlier in enumerate(releases) if earlier.bundle == move.bundle] if move.kind == "rollback" else []
        if back_to:
            del releases[back_to[-1] + 1 :]
        else:
            releases.append(move)
    return releases


def back(moves: Sequence[Move], *, to: str | None = None, recalled: Collection[str] = ()) -> Move | None:
    """Return where a rollback goes: one down the stack, or to the newest move to another release that is named `to`; never to
    one that was recalled.

    A name is the release's own or the start of its bundle's digest; every release that ever served can be named.
    """
    barred = {*recalled, *(move.bundle for move in moves[-1:])}
    others = [move for move in (stack(moves)[:-1] if to is None else moves) if move.bundle not in barred]
    matches = [move for move in others if to is None or _is_named(move, to)]
    return matches[-1] if matches else None


def _is_named(move: Move, name: str) -> bool:
    return name == move.release or (len(name) >= SHORTEST_PREFIX and move.bundle.startswith(name))


def _short(bundle: str | None) -> str:
    return f"release {bundle[:12]}" if bundle else "no champion"
