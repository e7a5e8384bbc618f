"""A change as a whole: what differs, what that makes stale, what was acknowledged, and what follows."""

import re
from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

import msgspec

from ml_assets.core.changes.record import Change
from ml_assets.core.changes.staleness import StaleStage

PROTOCOL = 1
Outcome: TypeAlias = Literal["UNCHANGED", "INCONCLUSIVE", "REJECT", "WEAKENED"]
EXIT_CODES: dict[Outcome, int] = {"UNCHANGED": 0, "INCONCLUSIVE": 0, "REJECT": 1, "WEAKENED": 4}
TRAILER = "Weakens"
_ACKNOWLEDGED = re.compile(r"^(?P<product>[a-z][a-z0-9_]*)/(?P<name>[^:]+?)\s*:\s*(?P<reason>\S.*)$")


class Acknowledgement(msgspec.Struct, frozen=True):
    """A weakening that the change names itself: `Weakens: flights/floor: reason` in a commit's message."""

    product: str
    name: str
    reason: str


class Review(msgspec.Struct, frozen=True, kw_only=True):
    """`base`, `head`: commits; `is_dirty`: the work tree holds more than `head`. `unread`: trailers that name nothing that was
    weakened, or give no reason. `problems`: declarations that cannot be read."""

    protocol: int = PROTOCOL
    base: str
    head: str
    is_dirty: bool
    outcome: Outcome
    reasons: tuple[str, ...]
    changes: tuple[Change, ...] = ()
    stale: tuple[StaleStage, ...] = ()
    acknowledged: tuple[Acknowledgement, ...] = ()
    unread: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.outcome]


def reviewed(
    *,
    base: str,
    head: str,
    is_dirty: bool,
    changes: Sequence[Change],
    stale: Sequence[StaleStage],
    trailers: Iterable[str] = (),
    problems: Sequence[str] = (),
) -> Review:
    """The review with its outcome. A weakening that nobody named by `product/name` with a reason decides before all else."""
    named = {change_id(change) for change in changes if change.effect == "weakened"}
    parsed = {text: _acknowledgement(text) for text in trailers}
    acknowledged = {f"{a.product}/{a.name}": a for a in parsed.values() if a is not None and f"{a.product}/{a.name}" in named}
    unread = [text for text, a in parsed.items() if a is None or f"{a.product}/{a.name}" not in named]
    open_ones = [change for change in changes if change.effect == "weakened" and change_id(change) not in acknowledged]
    outcome, reasons = _outcome(problems, open_ones, changes, stale)
    return Review(
        base=base,
        head=head,
        is_dirty=is_dirty,
        outcome=outcome,
        reasons=tuple(reasons),
        changes=tuple(changes),
        stale=tuple(stale),
        acknowledged=tuple(acknowledged.values()),
        unread=tuple(unread),
        problems=tuple(problems),
    )


def change_id(change: Change) -> str:
    """What a trailer names it by."""
    return f"{change.product}/{change.name}"


def _acknowledgement(text: str) -> Acknowledgement | None:
    match = _ACKNOWLEDGED.match(text)
    return Acknowledgement(**match.groupdict()) if match else None


def _outcome(
    problems: Sequence[str], open_ones: Sequence[Change], changes: Sequence[Change], stale: Sequence[StaleStage]
) -> tuple[Outcome, list[str]]:
    if problems:
        return "REJECT", [f"cannot be read: {problem}" for problem in problems]
    if open_ones:
        return "WEAKENED", [f"{change_id(change)} is weakened and not acknowledged" for change in open_ones]
    if not changes and not stale:
        return "UNCHANGED", ["nothing that decides a model, a gate or a policy means something else"]
    return "INCONCLUSIVE", ["the models of both sides were not compared; after the merge, promotion decides"]
