"""A verdict again, from the scores that are stored next to it: what was written down is compared with what was measured."""

from collections.abc import Iterator
from math import isclose
from typing import TYPE_CHECKING

import msgspec

from ml_assets.core.lineage.facts import EvaluationFacts
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.lineage.verdict_facts import ClaimFacts, VerdictFacts
from ml_assets.core.metrics.score_columns import has, of_columns
from ml_assets.services.comparisons import Comparison, compared_before
from ml_assets.spec.claim_grammar import MODELS
from ml_assets.spec.product import Product
from resources.lineage import Lineage

if TYPE_CHECKING:
    import polars as pl

    from ml_assets.core.evaluation.snapshot import Scores

NUMBERS = ("estimate", "standard_error", "low", "high", "p")
TOLERANCE = 1e-6
"""Relative: sums come out otherwise on another processor."""


def contradictions(lineage: Lineage, product: Product, evaluation: Manifest) -> list[str]:
    """The statements of an ACCEPT that its stored scores, on the labels of the features that were tested, contradict. Every
    other decision lets nothing through, so it is not asked. Raises BlobDamaged."""
    facts = EvaluationFacts.of(evaluation)
    if facts.verdict.decision != "ACCEPT":
        return []
    compared = compared_before(lineage, product, evaluation)
    scored, tested = lineage.snapshots.frame(evaluation.snapshot, "scores.parquet"), _tested(lineage, product, compared)
    same = [*product.features.key, product.features.label]
    if not scored.select(same).equals(tested.select(same)):
        return ["its scores are of other rows, or other labels, than the features that were tested"]
    roles = {"candidate", *facts.compared, *(["baseline"] if product.gates.baselines.baseline else [])}
    classes = product.features.class_names
    if missing := sorted(role for role in roles if not has(scored, role, classes)):
        return [f"there are no stored scores of the {' and the '.join(missing)}"]
    return list(_differences(facts.verdict, _judged(lineage, product, facts, compared, scored)))


def _tested(lineage: Lineage, product: Product, compared: Comparison) -> "pl.DataFrame":
    """The labelled rows of the test window that judge."""
    from ml_assets.builders.evaluation import tested_rows

    tested, before = ([lineage.handle(manifest) for manifest in part] for part in (compared.tested, compared.before))
    return tested_rows(tested, before, product)


def _usual(lineage: Lineage, product: Product, compared: Comparison) -> "pl.DataFrame":
    """The labelled rows before the test window, which say what levels it should hold."""
    from ml_assets.builders.evaluation import trained_rows
    from ml_assets.core.model.training import labelled

    before = [lineage.handle(manifest) for manifest in compared.before[-product.window.test :]]
    return labelled(trained_rows(before, product), label=product.features.label)


def _judged(
    lineage: Lineage, product: Product, facts: EvaluationFacts, compared: Comparison, scored: "pl.DataFrame"
) -> VerdictFacts:
    from ml_assets.builders.evaluation import outcomes_lacking, pooled_windows
    from ml_assets.core.evaluation.snapshot import coarser_units, levels_of, panel_of
    from ml_assets.core.gates.history import history
    from ml_assets.core.gates.too_good import earlier_gains
    from ml_assets.core.gates.verdict import judge

    learned = [EvaluationFacts.of(m).verdict for id in facts.past if (m := lineage.ledger.manifest(id)) is not None]
    read = compared.read(lineage)
    classes = product.features.class_names
    scores: Scores = {role: of_columns(scored, role, classes) for role in MODELS if has(scored, role, classes)}
    verdict = judge(
        product,
        panel_of(scored, scores, product=product, windows=pooled_windows(read, product)),
        expected=levels_of(_usual(lineage, product, compared), product=product),
        has_champion=facts.champion is not None,
        doubt=outcomes_lacking(read, product),
        past=history(learned, unit=product.gates.unit),
        gains=earlier_gains(learned, metric=product.gates.metric, unit=product.gates.unit),
        coarser=coarser_units(scored, product),
    )
    return msgspec.convert(verdict.to_dict(), VerdictFacts)


def _differences(recorded: VerdictFacts, again: VerdictFacts) -> Iterator[str]:
    if again.decision != recorded.decision:
        yield f"its stored scores give {again.decision}, not {recorded.decision}: {'; '.join(again.reasons)}"
        return
    if again.too_good and recorded.gain is not None and not recorded.too_good:
        yield f"it is recorded as no surprise; its stored scores say: {again.too_good}"
    rederived_claims = {claim.name: claim for claim in again.claims}
    for claim in recorded.claims:
        other = rederived_claims.get(claim.name)
        if other is None or not _agree(claim, other):
            message = "nothing" if other is None else f"{other.outcome}: {other.message}"
            yield f"gate {claim.name} is recorded as {claim.outcome}: {claim.message}; its stored scores give {message}"


def _agree(one: ClaimFacts, other: ClaimFacts) -> bool:
    pairs = ((getattr(one, name), getattr(other, name)) for name in NUMBERS)
    return one.outcome == other.outcome and all(
        a == b or (a is not None and b is not None and isclose(a, b, rel_tol=TOLERANCE, abs_tol=TOLERANCE**2)) for a, b in pairs
    )
