"""The verdict on a partition's data and on its scores, from what is recorded: histograms of partitions up to it, by digest."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from ml_assets.core.digests import digest_json
from ml_assets.core.drift.column_orders import BESIDE
from ml_assets.core.drift.drift_in_words import in_words
from ml_assets.core.drift.histogram_json import from_json
from ml_assets.core.drift.histograms import Histogram
from ml_assets.core.drift.verdict import VOLUME, DriftReference, DriftVerdict, Observed, follow, judged_alone
from ml_assets.core.lineage.facts import ReleaseFacts
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.lineage.partition_numbers import ordinal
from ml_assets.core.lineage.partitions import partitions_of
from ml_assets.core.plausibility.summary import Summary
from ml_assets.services.watching.summaries import Summaries, features_before
from ml_assets.spec.partitions import Every
from ml_assets.spec.product import Product
from resources.ledger import recalls
from resources.ledger.acceptances import accepted
from resources.lineage import Lineage

HISTOGRAMS = "histograms.json"
SCORE = "score"
PERIODS: Mapping[Every, int] = {"hour": 24 * 7, "day": 7, "week": 52, "month": 12}
"""Partitions from one to the next of the same season: the same hour of the week, weekday, week or month of the year."""
LEAST_ROWS = 40
"""The fewest rows of a partition for which false alarms were counted (`python -m benchmarks alarms`)."""


def of_data(summaries: Summaries, features: Manifest, *, release: Manifest | None = None) -> list[DriftVerdict]:
    """The verdict on the features of each partition up to this one, in order. `release` is the one that served it: where
    `monitoring.reference` is `training`, the partitions are compared with those that it was trained on."""
    product = summaries.product
    series = [*summaries.before(features), (features, summaries.summary(features))]
    trained = frozenset(ReleaseFacts.of(release).train) if release else frozenset[str]()
    known = set(product.contract.Features.to_schema().columns) - {*product.features.key, product.features.time}
    observed = [_observed(product, manifest, summary, known | {product.features.label}) for manifest, summary in series]
    return follow(observed, _rule(product, trained), settled(summaries.lineage, product, before=features.partition))


def of_scores(lineage: Lineage, product: Product, monitoring: Manifest) -> list[DriftVerdict]:
    """The verdict on the scores of each partition up to this one, as the releases of their time gave them. That scores differ
    from release to release is part of what is natural."""
    partitions = [*_monitored_before(lineage, product, monitoring), monitoring]
    observed = []
    for manifest in partitions:
        if HISTOGRAMS in lineage.snapshots.open(manifest.snapshot).members:
            histogram = from_json(lineage.snapshots.read(manifest.snapshot, HISTOGRAMS))[SCORE]
            number = ordinal(partitions_of(product), manifest.partition)
            observed.append(Observed(manifest.partition, number, histogram.rows, {SCORE: histogram}, manifest.snapshot))
    rule = _rule(product, frozenset())
    return follow(observed, rule, settled(lineage, product, before=monitoring.partition))


def of_others(
    summaries: Summaries,
    features: Manifest,
    histograms: Mapping[str, Histogram],
    *,
    rows: int,
    trained: frozenset[str] = frozenset(),
) -> DriftVerdict:
    """The verdict on other rows about a partition's time, such as requests that a release answered, next to the partition and
    those before it, alone; where `monitoring.reference` is `training`, those that were `trained` on. Columns that they lack, and
    how many they are, are left out; of fewer than LEAST_ROWS nothing is said."""
    product = summaries.product
    if rows < LEAST_ROWS:
        return DriftVerdict(
            features.partition, "uncalibrated", f"{rows} request{'' if rows == 1 else 's'}, {LEAST_ROWS} are needed"
        )
    columns = set(product.contract.Features.to_schema().columns) - {*product.features.key, product.features.time}
    series = [*summaries.before(features), (features, summaries.summary(features))]
    past = [_observed(product, manifest, summary, columns & histograms.keys()) for manifest, summary in series]
    number = ordinal(partitions_of(product), features.partition)
    others = Observed(features.partition, number, rows, {name: histograms[name] for name in columns & histograms.keys()})
    verdict = judged_alone(past, others, _rule(product, trained))
    if VOLUME not in verdict.exceeds:
        return verdict
    moved = tuple(part for part in verdict.moved if part.column != VOLUME)
    exceeds = tuple(name for name in verdict.exceeds if name != VOLUME)
    words = in_words(moved) or f"{len(others.histograms)} columns are as in the partitions"
    return replace(verdict, moved=moved, exceeds=exceeds, why=words, state=verdict.state if exceeds else "stable")


def compared_with(lineage: Lineage, product: Product, monitoring: Manifest) -> str:
    """The digest of what else both verdicts depend on: the partitions before it, and which of them count as usual."""
    features = [manifest.snapshot for manifest in features_before(lineage, product, monitoring.partition)]
    monitored = [manifest.snapshot for manifest in _monitored_before(lineage, product, monitoring)]
    usual = sorted(key for key in settled(lineage, product, before=monitoring.partition) if key < monitoring.partition)
    return digest_json([features, monitored, usual])


def _observed(product: Product, manifest: Manifest, summary: Summary, known: set[str]) -> Observed:
    histograms = {name: histogram for name, histogram in summary.histograms.items() if name in known}
    orders = {name: order for name, order in summary.orders.items() if known >= {*name.split(BESIDE)}}
    number = ordinal(partitions_of(product), manifest.partition)
    return Observed(manifest.partition, number, summary.rows, histograms, manifest.snapshot, orders)


def _rule(product: Product, trained: frozenset[str]) -> DriftReference:
    reference = product.monitoring.reference
    if reference == "training" and not trained:
        reference = "previous"
    period = PERIODS[product.partitions.every] if reference == "same_season" else 1
    return DriftReference(reference, period, trained, frozenset(product.monitoring.ignore))


def _monitored_before(lineage: Lineage, product: Product, monitoring: Manifest) -> Iterator[Manifest]:
    bad = recalls.derived(lineage.ledger, product.name)
    for key in sorted(key for key in lineage.ledger.partitions(product.name, "monitoring") if key < monitoring.partition):
        earlier = lineage.ledger.current(product.name, "monitoring", key)
        if earlier is not None and earlier.id not in bad:
            yield earlier


def settled(lineage: Lineage, product: Product, *, before: str) -> set[str]:
    """Partitions that count as usual whatever they looked like: accepted by a person, or trained on by a release that was
    promoted as of an earlier partition."""
    keys = set(accepted(lineage.ledger, product.name))
    for move in lineage.ledger.moves(product.name, "production"):
        is_earlier = move.kind == "promotion" and move.body.as_of < before
        release = lineage.ledger.manifest(move.body.manifest) if is_earlier else None
        for key, data_version in _trained_on(lineage, lineage.made_from(release)["model"]) if release else ():
            current = lineage.ledger.current(product.name, "features", key)
            if current and current.data_version == data_version:
                keys.add(key)
    return keys


def _trained_on(lineage: Lineage, model: Manifest) -> Iterator[tuple[str, str]]:
    """Partition and data version of the features that a model was trained on, also where its labels came in another table."""
    for read in model.recipe.inputs:
        outcomes = lineage.ledger.manifest(read.manifest) if read.asset.endswith("/outcomes") and read.manifest else None
        features = lineage.made_from(outcomes)["features"] if outcomes else read
        yield read.partition, features.data_version
