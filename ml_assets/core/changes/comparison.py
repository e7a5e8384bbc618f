"""The results of both sides' models on the same past rows, and what follows for the change."""

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

import msgspec

from ml_assets.core.changes.walk_protocol import Check, HeadVerdict, MovedFeature, Production, Walked
from ml_assets.core.lineage.verdict_facts import VerdictFacts

Outcome: TypeAlias = Literal["ACCEPT", "REJECT", "INCONCLUSIVE"]


class Effort(msgspec.Struct, frozen=True, kw_only=True):
    """The effort of one side's walk: snapshots made and reused, CPU seconds."""

    built: int
    reused: int
    seconds: float


class ProductComparison(msgspec.Struct, frozen=True, kw_only=True):
    """One product. `windows`: their last partitions; `judged`: by base's gates; `by_head`: the verdict of head's own gates;
    `failed`: checks that fail in head and not in base; `failed_before`: in both; `pictures`: names of files; `refused`: refused
    rows by table, of base and of head."""

    product: str
    outcome: Outcome
    reasons: tuple[str, ...]
    windows: tuple[str, ...] = ()
    judged: HeadVerdict | None = None
    by_head: VerdictFacts | None = None
    production: Production | None = None
    moved: tuple[MovedFeature, ...] = ()
    failed: tuple[Check, ...] = ()
    failed_before: tuple[Check, ...] = ()
    pictures: tuple[str, ...] = ()
    refused: Mapping[str, tuple[int, int]] = {}
    effort: Mapping[str, Effort] = {}


def compared(
    base: Walked, head: Walked, *, judged: HeadVerdict, by_head: VerdictFacts | None, moved: Sequence[MovedFeature]
) -> ProductComparison:
    """The comparison and what follows from it, strictest first."""
    failing = {check.subject: check for check in head.checks if check.is_failure}
    before = {check.subject for check in base.checks if check.is_failure}
    failed = tuple(check for subject, check in failing.items() if subject not in before)
    outcome, reasons = _outcome(base, head, judged, failed)
    return ProductComparison(
        product=base.product,
        outcome=outcome,
        reasons=tuple(reasons),
        windows=tuple(window.partition for window in base.windows),
        judged=msgspec.structs.replace(judged, evaluation={}),
        by_head=by_head,
        moved=tuple(moved),
        failed=failed,
        failed_before=tuple(check for subject, check in failing.items() if subject in before),
        refused={
            table: (base.refused.get(table, 0), head.refused.get(table, 0))
            for table in dict.fromkeys([*base.refused, *head.refused])
        },
        effort={
            name: Effort(built=side.built, reused=side.reused, seconds=side.seconds)
            for name, side in (("base", base), ("head", head))
        },
    )


def not_compared(product: str, outcome: Outcome, *reasons: str, windows: Sequence[str] = ()) -> ProductComparison:
    """A product of which there is no comparison, and why."""
    return ProductComparison(product=product, outcome=outcome, reasons=reasons, windows=tuple(windows))


def _outcome(base: Walked, head: Walked, judged: HeadVerdict, failed: Sequence[Check]) -> tuple[Outcome, list[str]]:
    counts, verdict = judged.counts, judged.verdict
    reasons = [f"{check.claim or 'contract'} fails in {check.stage} {check.partition}: {check.description}" for check in failed]
    is_whole = not counts.base_only and _windows(base) == _windows(head)
    if counts.base_only:
        reasons.append(f"head does not score {counts.base_only:,} rows that base scores")
    if _windows(base) != _windows(head):
        reasons.append("head walked other windows than base")
    if counts.labels_changed:
        reasons.append(f"the label of {counts.labels_changed:,} of {counts.both:,} rows means something else; judged on base's")
    if failed:
        return "REJECT", reasons
    if is_whole and not counts.labels_changed and not counts.scores_changed:
        return "ACCEPT", ["every score is equal"]
    reasons += verdict.reasons
    if verdict.decision == "ACCEPT" and (not is_whole or counts.labels_changed):
        return "INCONCLUSIVE", reasons
    return verdict.decision, reasons


def _windows(side: Walked) -> list[tuple[str, tuple[str, ...]]]:
    return [(window.partition, window.tested) for window in side.windows]
