"""A partition is plausible compared with the ones before it; what fails a claim that product.yaml holds back stays out of
training."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ml_assets.core.digests import digest_json
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.plausibility.claims import CLAIMS
from ml_assets.services.evidence import Finding, Proof
from ml_assets.spec.product import Product
from resources.ledger.acceptances import accepted
from resources.lineage import Lineage, NotProven
from resources.settings import Settings

if TYPE_CHECKING:
    from ml_assets.core.plausibility.judging import PlausibilityResult

PLAUSIBLE = Proof(
    "features",
    tuple(CLAIMS),
    (f"{__name__}:_finding", "ml_assets.core.plausibility.judging:plausible", "ml_assets.core.plausibility.summary:summarise"),
)


def is_plausible(lineage: Lineage, product: Product, settings: Settings, features: Manifest) -> Sequence[Finding]:
    """Compare a features snapshot with those of the partitions before it."""
    from ml_assets.core.plausibility.judging import Known, plausible
    from ml_assets.services.watching.summaries import Summaries

    summaries = Summaries.of(lineage, product, settings)
    past = [Known(earlier.partition, summary) for earlier, summary in summaries.before(features)]
    answers = plausible(past, Known(features.partition, summaries.summary(features)), label=product.features.label)
    entry = accepted(lineage.ledger, product.name).get(features.partition)
    word = f"accepted by {entry.body.by}: {entry.body.reason}" if entry else ""
    return [_finding(product, features.partition, answer, word) for answer in answers]


def compared_with(lineage: Lineage, product: Product, features: Manifest) -> str:
    """The digest of what else a finding depends on: the partitions before it, and whether a person accepted it."""
    from ml_assets.services.watching.summaries import features_before

    entry = accepted(lineage.ledger, product.name).get(features.partition)
    before = [earlier.snapshot for earlier in features_before(lineage, product, features.partition)]
    return digest_json([before, entry.hash if entry else "", list(product.plausibility.hold), list(product.monitoring.ignore)])


def refuse_held(lineage: Lineage, product: Product, settings: Settings, inputs: Sequence[Manifest], *, run: str) -> None:
    """Raise NotProven if one of these features is held back. Those that no one looked at yet are looked at now."""
    holding = set(product.plausibility.hold)
    reasons = []
    for features in inputs if holding else ():
        if features.recipe.stage != "features":
            continue
        for finding in _latest(lineage, product, settings, features, run=run):
            if finding.claim in holding and not finding.passed:
                reasons.append(f"{features.asset} {features.partition}: {finding.claim}: {finding.description}")
    if reasons:
        body = {"product": product.name, "stage": "features", "partition": inputs[-1].partition, "reasons": reasons}
        lineage.ledger.append("refusal", body)
        raise NotProven("; ".join(reasons))


def _latest(lineage: Lineage, product: Product, settings: Settings, features: Manifest, *, run: str) -> Iterator[Finding]:
    """The latest findings, if none is against the partition; otherwise new ones, because it may have been accepted since."""
    known = lineage.ledger.evidence(features.id)
    if all(claim in known and known[claim].body.passed for claim in product.plausibility.hold):
        return
    other_inputs = compared_with(lineage, product, features)
    look = PLAUSIBLE.prove(
        lineage.ledger,
        product,
        features,
        lambda m: is_plausible(lineage, product, settings, m),
        run=run,
        other_inputs=other_inputs,
    )
    yield from (finding for finding, _ in look)


def _finding(product: Product, partition: str, answer: "PlausibilityResult", word: str) -> Finding:
    if answer.is_plausible or word:
        why = answer.why if answer.is_plausible else f"{answer.why}; {word}"
        return Finding(answer.claim, True, why, details=answer.values)
    is_held = answer.claim in product.plausibility.hold
    ways = f"deliver it corrected, or say that it is right: `ml-assets accept {product.name} {partition} --reason …`"
    return Finding(
        answer.claim,
        False,
        f"{answer.why}; held back from training: {ways}" if is_held else answer.why,
        "ERROR" if is_held else "WARN",
        answer.values,
    )
