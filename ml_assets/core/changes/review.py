"""A change as a whole: what differs, what that makes stale, how its models compare, what was acknowledged, and what follows."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypeAlias

import msgspec

from ml_assets.core.changes.change import Change
from ml_assets.core.changes.comparison import ProductComparison
from ml_assets.core.changes.stale_stages import StaleStage

VERSION = 2
Outcome: TypeAlias = Literal["UNCHANGED", "ACCEPT", "INCONCLUSIVE", "REJECT", "WEAKENED"]
EXIT_CODES: dict[Outcome, int] = {"UNCHANGED": 0, "ACCEPT": 0, "INCONCLUSIVE": 0, "REJECT": 1, "WEAKENED": 4}
EXIT_UNDECIDED = 5
TRAILER = "Weakens"
_ACKNOWLEDGED = re.compile(r"^(?P<product>[a-z][a-z0-9_]*)/(?P<name>[^:]+?)\s*:\s*(?P<reason>\S.*)$")


class Acknowledgement(msgspec.Struct, frozen=True):
    """A weakening that the change names itself: `Weakens: flights/floor: reason` in a commit's message."""

    product: str
    name: str
    reason: str


class Acknowledged(msgspec.Struct, frozen=True):
    """`given`: by `product/name` of what is weakened; `unread`: trailers that name nothing weakened, or give no reason."""

    given: Mapping[str, Acknowledgement] = {}
    unread: tuple[str, ...] = ()

    def names(self, product: str) -> set[str]:
        """The acknowledged names of one product."""
        return {change.name for change in self.given.values() if change.product == product}


class Review(msgspec.Struct, frozen=True, kw_only=True):
    """`base`, `head`: commits; `is_dirty`: the work tree holds more than `head`. `serving`: the release that production answers
    with, by product. `unread`: trailers that name nothing that was weakened, or give no reason. `problems`: declarations that
    cannot be read. `on_inconclusive`: the strictest policy of base's products."""

    version: int = VERSION
    base: str
    head: str
    is_dirty: bool
    outcome: Outcome
    reasons: tuple[str, ...]
    on_inconclusive: Literal["pass", "fail"] = "pass"
    changes: tuple[Change, ...] = ()
    comparisons: tuple[ProductComparison, ...] = ()
    stale: tuple[StaleStage, ...] = ()
    serving: Mapping[str, str] = {}
    acknowledged: tuple[Acknowledgement, ...] = ()
    unread: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    seconds: float | None = None

    @property
    def exit_code(self) -> int:
        """The exit code of `ml-assets ci` for this outcome."""
        if self.outcome == "INCONCLUSIVE" and self.on_inconclusive == "fail":
            return EXIT_UNDECIDED
        return EXIT_CODES[self.outcome]


def acknowledged(changes: Sequence[Change], trailers: Iterable[str]) -> Acknowledged:
    """The weakened parts that the trailers acknowledge."""
    weakened = {change_id(change) for change in changes if change.effect == "weakened"}
    parsed = {text: _acknowledgement(text) for text in trailers}
    given = {f"{a.product}/{a.name}": a for a in parsed.values() if a is not None and f"{a.product}/{a.name}" in weakened}
    unread = [text for text, a in parsed.items() if a is None or f"{a.product}/{a.name}" not in weakened]
    return Acknowledged(given, tuple(unread))


def left_to_owners(given: Acknowledged, changes: Iterable[Change]) -> Acknowledged:
    """Acknowledged as before, and these changes too: who may approve them decides, whatever a trailer says."""
    owed = {change_id(c): Acknowledgement(c.product, c.name, f"{c.reason}: a code owner decides") for c in changes}
    return Acknowledged({**given.given, **owed}, given.unread)


def decided(
    *,
    changes: Sequence[Change],
    stale: Sequence[StaleStage],
    comparisons: Sequence[ProductComparison],
    given: Acknowledged,
    problems: Sequence[str] = (),
) -> tuple[Outcome, tuple[str, ...]]:
    """The outcome and its reasons, strictest first. A weakening that nobody named with a reason decides before the models do."""
    open_ones = [change for change in changes if change.effect == "weakened" and change_id(change) not in given.given]
    weakened = [f"{change_id(change)} is weakened and not acknowledged" for change in open_ones]
    by_outcome: dict[str, list[str]] = {"REJECT": [], "INCONCLUSIVE": [], "ACCEPT": []}
    for comparison in comparisons:
        reasons = [f"{comparison.product}: {reason}" for reason in comparison.reasons]
        by_outcome[comparison.outcome] += reasons or [f"{comparison.product}: every claim holds"]
    rejected, open_questions = by_outcome["REJECT"], by_outcome["INCONCLUSIVE"]
    if problems:
        return "REJECT", tuple(f"cannot be read: {problem}" for problem in problems)
    if weakened:
        return "WEAKENED", (*weakened, *rejected)
    if not changes and not stale:
        return "UNCHANGED", ("nothing that decides a model, a gate or a policy means something else",)
    if rejected:
        return "REJECT", tuple(rejected)
    if open_questions:
        return "INCONCLUSIVE", tuple(open_questions)
    return "ACCEPT", tuple(by_outcome["ACCEPT"])


def change_id(change: Change) -> str:
    """The name by which a trailer acknowledges a change."""
    return f"{change.product}/{change.name}"


def _acknowledgement(text: str) -> Acknowledgement | None:
    match = _ACKNOWLEDGED.match(text)
    return Acknowledgement(**match.groupdict()) if match else None
