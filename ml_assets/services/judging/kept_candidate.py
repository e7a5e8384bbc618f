"""The one undecided candidate that is kept, and asked again on later windows pooled with its own (`gates.pooled`).

Which one it is follows from the ledger alone: the newest that is still undecided against the very releases that serve now, by the
gates as they are now, and within its number of windows. It is asked where the partition's own candidate was not let through; so
whatever happens, a window lets through one at most.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from ml_assets.core.lineage.facts import EvaluationFacts
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.lineage.partitions import partitions_of
from ml_assets.services.comparisons import Comparison, OtherFeatures, compared_with, was_charged
from ml_assets.spec.product import Product
from resources.ledger import recalls
from resources.lineage import Lineage, NotMaterialized, NotProven


@dataclass(frozen=True)
class KeptCandidate:
    """A candidate that is kept: what it is compared with now, and the evaluations that left it undecided, newest first."""

    comparison: Comparison
    evaluations: tuple[Manifest, ...]

    @property
    def since(self) -> str:
        """The partition as of which it was made."""
        return self.comparison.kept_since

    @property
    def paid_by(self) -> list[str]:
        """The partitions that it was not asked on yet: they pay for the look."""
        tested = {key for evaluation in self.evaluations for key in EvaluationFacts.of(evaluation).tested}
        return [key for key in self.comparison.keys if key not in tested]


def kept_candidate(lineage: Lineage, product: Product, partition: str) -> KeptCandidate | None:
    """The candidate that is kept when this partition's own candidate has been asked; None where there is none."""
    kept = (
        _against_what_serves(lineage, product, partition, evaluations) for evaluations in undecided(lineage, product, partition)
    )
    return next(filter(None, kept), None)


def undecided(lineage: Lineage, product: Product, partition: str) -> Iterator[tuple[Manifest, ...]]:
    """The evaluations of each candidate that the gates as they are now left undecided and that has windows left when this
    partition is in, the one to be asked first before the others; of a candidate the newest first."""
    from ml_assets.core.gates.verdict import gate_digest

    pooled = product.gates.pooled
    if pooled is None:
        return
    gate, bad = gate_digest(product), recalls.derived(lineage.ledger, product.name)
    for evaluations in _by_candidate(lineage, product, partition, windows=pooled.windows):
        newest = EvaluationFacts.of(evaluations[0])
        is_undecided = newest.verdict.decision == "INCONCLUSIVE" and newest.verdict.gate == gate
        if is_undecided and not bad.keys() & {evaluation.id for evaluation in evaluations}:
            yield evaluations


def kept_evaluation(lineage: Lineage, product: Product, partition: str) -> Manifest | None:
    """The evaluation of the candidate that is kept, on the windows pooled up to this partition; None where it was not asked."""
    kept = kept_candidate(lineage, product, partition)
    if kept is None:
        return None
    recipe = lineage.recipe(product, "evaluation", partition, kept.comparison.inputs)
    evaluation = lineage.ledger.by_key(recipe.key)
    return evaluation if evaluation is not None and was_charged(lineage, product, evaluation) else None


def _by_candidate(lineage: Lineage, product: Product, partition: str, *, windows: int) -> Iterator[tuple[Manifest, ...]]:
    """The evaluations of each earlier candidate that could still be kept, newest first: those that were kept before come before
    those that were made since, and of a candidate there are those on pooled windows and that on its own."""
    calendar = partitions_of(product)
    keys = [key for back in range(1, windows) if calendar.contains(key := calendar.shift(partition, -back))]
    by_candidate: dict[str, list[Manifest]] = {}
    for key in keys:
        recorded = [m for m in lineage.ledger.recorded(product.name, "evaluation", key) if was_charged(lineage, product, m)]
        current = lineage.ledger.current(product.name, "evaluation", key)
        again = [m for m in reversed(recorded) if EvaluationFacts.of(m).kept_since]
        first = [current] if current is not None and was_charged(lineage, product, current) else []
        for evaluation in [*again, *first]:
            by_candidate.setdefault(EvaluationFacts.of(evaluation).candidate, []).append(evaluation)
    for evaluations in by_candidate.values():
        own = EvaluationFacts.of(evaluations[-1])
        if not own.kept_since and own.tested[-1] in keys:  # else it has had its windows
            yield tuple(evaluations)


def _against_what_serves(
    lineage: Lineage, product: Product, partition: str, evaluations: tuple[Manifest, ...]
) -> KeptCandidate | None:
    """The comparison of the candidate now. It is no longer kept, and None, where that is not what left it undecided, and
    where there are no features any more on which it could be asked: the partition's own candidate goes its way all the same."""
    own = evaluations[-1]
    keys = _until(product, EvaluationFacts.of(own).tested[0], partition)
    model = lineage.made_from(own)["model"]
    try:
        comparison = compared_with(lineage, product, partition, model, keys, kept_since=own.partition)
    except (OtherFeatures, NotMaterialized, NotProven, recalls.Recalled):
        return None
    now = {role: release.snapshot for role, release in comparison.baselines.by_role.items()}
    return KeptCandidate(comparison, evaluations) if now == EvaluationFacts.of(own).compared else None


def _until(product: Product, first: str, last: str) -> list[str]:
    """The partitions from the first to the last."""
    calendar, keys = partitions_of(product), [first]
    while keys[-1] != last:
        keys.append(calendar.shift(keys[-1], 1))
    return keys
