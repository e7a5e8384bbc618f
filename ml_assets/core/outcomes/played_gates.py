"""The product's gates in a past that is played: what they are asked when a candidate is trained, and who serves after it. Pure.

As in production, a candidate is asked on its own window, and one that was left undecided again with a later one, on the windows
from its own to that one pooled. Where windows are pooled, the partitions have a budget of looks and of promotions.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from ml_assets.core.lineage.verdict_facts import VerdictFacts


class Release(NamedTuple):
    """A model that serves, by the number of the partition that it is as of, and of the one whose window let it through: a later
    one for a candidate that was kept. The release ships the SQL and the lookups of the latter."""

    model: int
    at: int


@dataclass(frozen=True)
class GateQuestion:
    """A candidate that the gates are asked about when the partition `at` is in: it, the champion and the anchor, of which the
    first model has none, and the verdicts on windows that ended before its own began."""

    candidate: int
    at: int
    champion: Release | None
    anchor: Release | None
    before: tuple[VerdictFacts, ...] = ()

    @property
    def is_kept(self) -> bool:
        """Whether it was asked before, and kept."""
        return self.at != self.candidate


Judge = Callable[[GateQuestion], VerdictFacts]


@dataclass(frozen=True)
class PlayedGates:
    """`judge` gives the verdict. `test`: partitions of a test window; `windows`: over how many a candidate is asked in all, one
    where none is kept; `looks` and `ships`: the budget of a partition where windows are pooled."""

    judge: Judge
    test: int = 1
    windows: int = 1
    looks: int = 2
    ships: int = 1


@dataclass(frozen=True)
class PlayedVerdict:
    """A verdict; the partitions that were `tested`, and those that `paid` for the look."""

    question: GateQuestion
    tested: range
    paid: tuple[int, ...]
    verdict: VerdictFacts


@dataclass
class PlayedRoles:
    """Who serves and who is the anchor, after these `verdicts`, oldest first. `promoted`: how many were let through."""

    serving: Release
    anchor: Release
    verdicts: list[PlayedVerdict] = field(default_factory=list)
    promoted: int = 0


def begun(gates: PlayedGates, first: int) -> PlayedRoles:
    """The roles when the first model serves, which it does whatever the gates say of it."""
    tested = range(first + 1 - gates.test, first + 1)
    question = GateQuestion(first, first, None, None)
    release = Release(first, first)
    return PlayedRoles(release, release, [PlayedVerdict(question, tested, (*tested,), gates.judge(question))])


def ask(gates: PlayedGates, roles: PlayedRoles, candidate: int) -> None:
    """Ask about a new candidate, and where it was not let through about the one that is kept. A window without a look left is
    asked nothing."""
    verdict = _answered(gates, roles, candidate, candidate)
    if verdict is None or verdict.decision == "ACCEPT":
        return
    kept = next(_kept(gates, roles, candidate), None)
    if kept is not None:
        _answered(gates, roles, kept, candidate)


def _answered(gates: PlayedGates, roles: PlayedRoles, model: int, at: int) -> VerdictFacts | None:
    """The verdict, after which the candidate serves if it was accepted; not one that is held for a person, who may say no. None
    where the windows may not be asked."""
    tested = range(model + 1 - gates.test, at + 1)
    known = {place for answer in roles.verdicts if answer.question.candidate == model for place in answer.tested}
    paid = tuple(place for place in tested if place not in known)
    if gates.windows > 1 and _is_retired(gates, roles, tested, paid):
        return None
    own = (answer for answer in roles.verdicts if not answer.question.is_kept)
    before = tuple(answer.verdict for answer in own if answer.tested.stop <= tested.start)
    question = GateQuestion(model, at, roles.serving, roles.anchor, before)
    verdict = gates.judge(question)
    roles.verdicts.append(PlayedVerdict(question, tested, paid, verdict))
    if verdict.decision == "ACCEPT" and not verdict.too_good:
        roles.serving, roles.promoted = Release(model, at), roles.promoted + 1
        roles.anchor = roles.serving if verdict.is_better else roles.anchor
    return verdict


def _is_retired(gates: PlayedGates, roles: PlayedRoles, tested: range, paid: tuple[int, ...]) -> bool:
    """Whether the most charged partition has no look or no promotion left."""
    looks = max(sum(place in answer.paid for answer in roles.verdicts) for place in paid)
    accepted = [answer for answer in roles.verdicts if answer.verdict.decision == "ACCEPT"]
    ships = max(sum(place in answer.tested for answer in accepted) for place in tested)
    return looks >= gates.looks or ships >= gates.ships


def _kept(gates: PlayedGates, roles: PlayedRoles, at: int) -> Iterator[int]:
    """The candidates that are undecided next to what serves now and that have windows left, the one to be asked first."""
    by_candidate: dict[int, list[PlayedVerdict]] = {}
    for place in range(at - 1, at - gates.windows, -1):
        asked_there = [answer for answer in reversed(roles.verdicts) if answer.question.at == place]
        for answer in sorted(asked_there, key=lambda answer: not answer.question.is_kept):
            by_candidate.setdefault(answer.question.candidate, []).append(answer)
    for candidate, newest_first in by_candidate.items():
        newest, own = newest_first[0], newest_first[-1]
        is_undecided = not own.question.is_kept and newest.verdict.decision == "INCONCLUSIVE"
        if is_undecided and (own.question.champion, own.question.anchor) == (roles.serving, roles.anchor):
            yield candidate
