"""Put a review together: what differs, what that costs, how the models compare, and what follows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import msgspec

from ml_assets.core.changes.comparison import ProductComparison, not_compared
from ml_assets.core.changes.review import TRAILER, Acknowledged, Review, acknowledged, decided, left_to_owners
from ml_assets.core.changes.stale_stages import StaleStage
from ml_assets.core.lineage.stages import DATA, SOURCE, UNJUDGED
from ml_assets.services.review.side_differences import UNREAD, Differences, differences
from ml_assets.services.review.side_process import Say
from ml_assets.services.review.sides import commit_side, tree_side
from resources.ast_cache import ast_cache
from resources.git_trees import Repository
from resources.settings import Settings
from resources.stopwatch import Stopwatch

if TYPE_CHECKING:
    from resources.ledger.ledger import Ledger

RECENT = 5
"""Builds of a stage whose recorded times an estimate is made of."""


@dataclass(frozen=True)
class Elsewhere:
    """A commit that was walked on another machine, with what its walks wrote there, by product. Nothing of it is run here: what
    it declares is read from git, and its contract, which is Python, is left to a code owner."""

    commit: str
    walks: Path


def review(
    repository: Repository,
    current: Settings,
    *,
    ref: str | None,
    products: Sequence[str] = (),
    is_compared: bool = True,
    elsewhere: Elsewhere | None = None,
    keep_walks: Path | None = None,
    say: Say = lambda _: None,
) -> tuple[Review, dict[str, bytes]]:
    """The review of the work tree, or of a commit `elsewhere`, against the commit where it left `ref` (by default the default
    branch), and its pictures.

    Models are compared where a change reaches them, unless `is_compared` is False. What head's walks write is copied to
    `keep_walks`. Raises GitRefused, and EnvironmentNotMade for base's libraries.
    """
    clock = Stopwatch()
    ref_of_head = elsewhere.commit if elsewhere else "HEAD"
    commit = repository.base(ref, ref_of_head)
    compared = _differences(repository, current, commit, products, elsewhere)
    given = acknowledged(compared.changes, repository.trailers(commit, TRAILER, ref_of_head))
    if elsewhere:
        given = left_to_owners(given, [change for change in compared.changes if change.reason == UNREAD])
    reviewing = _Reviewing(repository, current, commit, compared, given, say, elsewhere.walks if elsewhere else None, keep_walks)
    comparisons = [*reviewing.comparisons(is_compared=is_compared)]
    stale, serving = _reach(current, compared)
    outcome, reasons = decided(
        changes=compared.changes, stale=compared.stale, comparisons=comparisons, given=given, problems=compared.problems
    )
    result = Review(
        base=commit,
        head=repository.commit(ref_of_head),
        is_dirty=elsewhere is None and repository.is_dirty,
        outcome=outcome,
        reasons=reasons,
        on_inconclusive="fail" if any(p.ci.on_inconclusive == "fail" for p in compared.base.products.values()) else "pass",
        changes=tuple(compared.changes),
        comparisons=tuple(comparisons),
        stale=tuple(stale),
        serving=serving,
        acknowledged=tuple(given.given.values()),
        unread=given.unread,
        problems=tuple(compared.problems),
        seconds=clock.seconds()["cpu"],
    )
    return result, reviewing.pictures


def _differences(
    repository: Repository, current: Settings, base: str, products: Sequence[str], elsewhere: Elsewhere | None
) -> Differences:
    with ast_cache(current.cache / "code.json", SOURCE):
        tree = tree_side(repository, current.products, current.cache)
        head = commit_side(repository, repository.commit(elsewhere.commit), current.products, tree) if elsewhere else tree
        return differences(commit_side(repository, base, current.products, tree), head, products, may_execute=elsewhere is None)


@dataclass(frozen=True)
class _Reviewing:
    repository: Repository
    current: Settings
    commit: str
    differences: Differences
    given: Acknowledged
    say: Say
    walked: Path | None
    keep_walks: Path | None
    pictures: dict[str, bytes] = field(default_factory=dict)

    def comparisons(self, *, is_compared: bool) -> Iterator[ProductComparison]:
        """Of every product that changes at all. One whose models stay what they are is accepted by that."""
        compared = self.differences
        touched = dict.fromkeys([*(change.product for change in compared.changes), *(stage.product for stage in compared.stale)])
        modelled = {stage.product for stage in compared.stale if stage.stage in UNJUDGED}
        names: list[str] = []
        for name in touched:
            if name not in compared.base.products or name not in compared.head.products:
                yield not_compared(name, "INCONCLUSIVE", "only one side has it; after the merge, promotion decides")
            elif refusal := self._below_standards(name):
                yield not_compared(name, "REJECT", refusal)
            elif name not in modelled:
                yield not_compared(name, "ACCEPT", "no model changes")
            elif not is_compared:
                yield not_compared(name, "INCONCLUSIVE", "the models were not compared; after the merge, promotion decides")
            else:
                names.append(name)
        if names:
            yield from self._walked(names)

    def _below_standards(self, name: str) -> str:
        """Why no run could begin by head's gates after the merge, by the verdicts that were recorded; empty without any."""
        from ml_assets.services.judging.gate_standards import refused_gates
        from resources.ledger.database import LedgerRefused
        from resources.ledger.ledger import Ledger

        ledger = Ledger(self.current.recorded["ledger"], is_read_only=True)
        try:
            return refused_gates(ledger, self.differences.head.products[name])
        except LedgerRefused:  # without a ledger nothing was recorded; `_walked` says that there is none
            return ""
        finally:
            ledger.close()

    def _walked(self, names: Sequence[str]) -> Iterator[ProductComparison]:
        from ml_assets.services.review.model_comparison import Question, arena
        from resources.ledger.database import LedgerRefused

        base, head = self.differences.base.products, self.differences.head.products
        try:
            with arena(
                self.repository, self.commit, self.current, say=self.say, walked=self.walked, kept=self.keep_walks
            ) as both:
                for name in names:
                    yield both.compare(Question(base[name], head[name], self.given.names(name)))
                self.pictures.update(both.pictures)
        except LedgerRefused as error:
            for name in names:
                yield not_compared(name, "INCONCLUSIVE", f"there is no data to compare the models on: {error}")


def _reach(current: Settings, compared: Differences) -> tuple[list[StaleStage], dict[str, str]]:
    """The stages that merging rebuilds, with their number and cost; and the release that serves meanwhile."""
    if not compared.stale:
        return [], {}
    from resources.ledger.database import LedgerRefused
    from resources.ledger.ledger import Ledger

    ledger = Ledger(current.recorded["ledger"], is_read_only=True)
    try:
        moves = {name: ledger.pointer(name, "production") for name in {stage.product for stage in compared.stale}}
        serving = {name: move.body.release for name, move in moves.items() if move is not None}
        return [_counted(ledger, stage) for stage in compared.stale], serving
    except LedgerRefused:
        return [*compared.stale], {}
    finally:
        ledger.close()


def _counted(ledger: "Ledger", stage: StaleStage) -> StaleStage:
    """Every partition of data is made again; of the others what the next training run makes."""
    known = ledger.partitions(stage.product, stage.stage)
    count = len(known) if stage.stage in DATA else min(1, len(known))
    times = ledger.build_seconds(stage.product, stage.stage, newest=RECENT)
    return msgspec.structs.replace(stage, partitions=count, seconds=median(times) * count if times else None)
