"""Promotions on probation: what each promised is asked again when outcomes are complete, until it is confirmed or broken.

Level-triggered: it compares what is recorded with what is known, so a missed tick loses nothing. A later promotion or a rollback
ends a probation as superseded.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import zip_longest
from typing import Any

from ml_assets.core.lineage.facts import PromiseFacts, RealisedFacts
from ml_assets.core.outcomes.maturity import is_matured
from ml_assets.core.outcomes.mean_sequence import Sums, interval
from ml_assets.core.outcomes.records import Ending, ProbationRecord
from ml_assets.core.release.records import MoveRecord
from ml_assets.spec.product import Product
from resources.ledger import probations as recorded
from resources.ledger import recalls
from resources.ledger.records import Record
from resources.lineage import Lineage

JUDGE = "probation"


@dataclass(frozen=True)
class PromiseSoFar:
    """One promise so far: the effect that was promised, the one on served rows with its bounds, and the claim's limit."""

    name: str
    text: str
    sign: str
    limit: float
    promised: float | None
    units: int
    effect: float
    low: float
    high: float

    @property
    def is_kept(self) -> bool:
        """Whether the bounds show the claim."""
        return self.low > self.limit if self.sign == ">" else self.high < self.limit

    @property
    def is_broken(self) -> bool:
        """Whether the bounds show its opposite."""
        return self.high < self.limit if self.sign == ">" else self.low > self.limit

    @property
    def message(self) -> str:
        """In words."""
        promised = "" if self.promised is None else f", {self.promised:+.4f} was promised"
        return f"{self.text}: {self.effect:+.4f} [{self.low:+.4f}, {self.high:+.4f}] by {self.units:,} units{promised}"


@dataclass(frozen=True)
class Probation:
    """One promotion and its promises. `state` is an ending, or `open`."""

    move: Record[MoveRecord]
    state: str
    why: str
    partitions: tuple[str, ...] = ()
    kept: Sequence[PromiseSoFar] = field(default=())

    @property
    def release(self) -> str:
        """The name of the promoted release."""
        return self.move.body.release


def probations(lineage: Lineage, product: Product, now: datetime) -> list[Probation]:
    """Every promotion of production as of a moment (UTC), oldest first: as recorded, or as it stands by the outcomes so far."""
    endings = {entry.body.promotion: entry.body for entry in recorded.endings(lineage.ledger, product.name)}
    stated = []
    for move, later in _promotions(lineage, product):
        ending = endings.get(move.hash)
        if ending is None:
            stated.append(_undecided(lineage, product, move, later, now))
        else:
            _, kept = _asked_again(lineage, product, move, now)
            stated.append(Probation(move, ending.outcome, ending.why, ending.partitions, kept))
    return stated


def settle(lineage: Lineage, product: Product, now: datetime) -> list[Probation]:
    """Record every ending that is not recorded yet; the new ones. Promotions that have ended are not looked at again."""
    known = {entry.body.promotion for entry in recorded.endings(lineage.ledger, product.name)}
    unrecorded = [pair for pair in _promotions(lineage, product) if pair[0].hash not in known]
    stated = [_undecided(lineage, product, move, later, now) for move, later in unrecorded]
    ended = [promotion for promotion in stated if promotion.state in ("confirmed", "broken", "superseded")]
    for promotion in ended:
        recorded.end(lineage.ledger, _record(promotion))
    return ended


def to_demote(lineage: Lineage, product: Product) -> ProbationRecord | None:
    """The ending by which the release that serves is to be rolled back: its promise is broken, and the product says so."""
    if product.probation is None or product.probation.on_broken != "rollback":
        return None
    newest = lineage.ledger.pointer(product.name, "production")
    endings = {entry.body.promotion: entry.body for entry in recorded.endings(lineage.ledger, product.name)}
    ending = endings.get(newest.hash) if newest else None
    return ending if ending is not None and ending.outcome == "broken" else None


def _promotions(lineage: Lineage, product: Product) -> list[tuple[Record[MoveRecord], Record[MoveRecord] | None]]:
    """Every promotion of production, oldest first, with the move after it."""
    moves = lineage.ledger.moves(product.name, "production")
    return [(move, later) for move, later in zip_longest(moves, moves[1:]) if move.kind == "promotion"]


def _undecided(
    lineage: Lineage, product: Product, move: Record[MoveRecord], later: Record[MoveRecord] | None, now: datetime
) -> Probation:
    """A promotion without a recorded ending, by the outcomes so far."""
    partitions, kept = _asked_again(lineage, product, move, now)
    state, why = _state(product, partitions, kept, later=later)
    return Probation(move, state, why, partitions, kept)


def _asked_again(
    lineage: Lineage, product: Product, move: Record[MoveRecord], now: datetime
) -> tuple[tuple[str, ...], tuple[PromiseSoFar, ...]]:
    """The complete later partitions that the promoted release served, and its promises on all of them together."""
    bad, partitions = recalls.derived(lineage.ledger, product.name), []
    sums: dict[str, Sums] = {}
    about: dict[str, PromiseFacts] = {}
    for key in lineage.ledger.partitions(product.name, "realised"):
        if key <= move.body.as_of or not is_matured(product, key, now):
            continue
        realised = lineage.ledger.current(product.name, "realised", key)
        if realised is None or realised.id in bad:
            continue
        promises = RealisedFacts.of(realised).promises.get(move.body.bundle, ())
        known = [promise for promise in promises if promise.units >= 2]
        for promise in known:
            about[promise.name] = promise
            sums[promise.name] = sums.get(promise.name, Sums()).plus(Sums(promise.units, promise.total, promise.squares))
        partitions += [key] if known else []
    alpha = (product.probation.alpha if product.probation else 0.05) / max(len(about), 1)
    after = product.probation.after if product.probation else 1
    return tuple(partitions), tuple(
        _kept(promise, sums[name], alpha=alpha, expected=max(promise.tested_units * after, 2)) for name, promise in about.items()
    )


def _kept(promise: PromiseFacts, sums: Sums, *, alpha: float, expected: int) -> PromiseSoFar:
    low, high = interval(sums, alpha=alpha, expected=expected)
    facts = (promise.name, promise.text, promise.sign, promise.limit, promise.promised)
    return PromiseSoFar(*facts, units=sums.units, effect=sums.mean, low=low, high=high)


def _state(
    product: Product, partitions: Sequence[str], kept: Sequence[PromiseSoFar], *, later: Record[MoveRecord] | None
) -> tuple[str, str]:
    after, least = product.probation.after if product.probation else 1, product.gates.minimum.units
    # Bounds by the spread of a few units show anything, and are no wider than nothing where these happen to be alike.
    are_enough = len(partitions) >= after and all(promise.units >= least for promise in kept)
    if are_enough and (broken := [promise.message for promise in kept if promise.is_broken]):
        return "broken", "; ".join(broken)
    if are_enough and kept and all(promise.is_kept for promise in kept):
        return "confirmed", "; ".join(promise.message for promise in kept)
    if later is not None:
        return "superseded", f"release {later.body.release} serves since {later.at[:16]} UTC"
    if not kept:
        return "open", "no complete outcomes of what it served yet, or it replaced nothing by a proven claim"
    about = "; ".join(promise.message for promise in kept)
    return "open", f"{len(partitions)} of at least {after} partitions, with at least {least} units; {about}"


def _record(ended: Probation) -> ProbationRecord:
    outcomes: dict[str, Ending] = {"confirmed": "confirmed", "broken": "broken", "superseded": "superseded"}
    claims: dict[str, dict[str, Any]] = {
        promise.name: {
            "text": promise.text,
            "promised": promise.promised,
            "units": promise.units,
            "effect": promise.effect,
            "low": promise.low,
            "high": promise.high,
        }
        for promise in ended.kept
    }
    body = ended.move.body
    return ProbationRecord(
        product=body.product,
        promotion=ended.move.hash,
        bundle=body.bundle,
        release=body.release,
        replaced=body.previous or "",
        outcome=outcomes[ended.state],
        why=ended.why,
        partitions=ended.partitions,
        claims=claims,
    )
