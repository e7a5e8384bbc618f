"""Predictions about a partition, as they are recorded: batch predictions, the endpoint's log, and the releases that gave them."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_assets.core.lineage.manifests import Input, Manifest
from ml_assets.core.lineage.partitions import partitions_of
from ml_assets.services.replicas.shared_logs import served_log
from ml_assets.spec.product import Product
from resources.ledger import recalls
from resources.lineage import Build, Lineage
from resources.settings import Settings

if TYPE_CHECKING:
    import polars as pl

BATCH, ENDPOINT = "batch", "endpoint"


@dataclass(frozen=True)
class Gathered:
    """`outcomes` of a partition, the predictions about it by way of serving, and the releases that gave them, by bundle; with
    probation also the release that each `replaced`. `inputs` are all of these as a recipe names them."""

    outcomes: Manifest
    predictions: "dict[str, pl.DataFrame]"
    releases: dict[str, Manifest]
    replaced: dict[str, Manifest]
    inputs: tuple[Input, ...]


def make_realised(lineage: Lineage, product: Product, settings: Settings, partition: str, *, run: str) -> Build | None:
    """Hold what served against the outcomes that came. None where nothing served the partition."""
    from ml_assets.builders.realised import Answered, ServedRelease, build

    gathered = gather(lineage, product, settings, partition)
    if not gathered.releases:
        return None
    handle, releases = lineage.handle, {}
    for bundle, release in gathered.releases.items():
        replaced = gathered.replaced.get(bundle)
        evaluation = handle(lineage.made_from(release)["evaluation"])
        releases[bundle] = ServedRelease(handle(release), evaluation, handle(replaced) if replaced else None)
    recipe = lineage.recipe(product, "realised", partition, gathered.inputs)
    answered = Answered(handle(gathered.outcomes), gathered.predictions, releases)
    return lineage.make(recipe, lambda: build(answered, product, partition), run=run)


def gather(lineage: Lineage, product: Product, settings: Settings, partition: str) -> Gathered:
    """All that served the partition: of the product's log, in which questions may be asked at any time, those about its time."""
    from ml_assets.core.outcomes.served import about, digest

    outcomes = lineage.current(product, "outcomes", partition)
    questions = lineage.snapshots.frame(outcomes.snapshot, "features.parquet").select(product.features.key)
    batch = lineage.ledger.current(product.name, "predictions", partition)
    inputs = [outcomes.as_input(), *([batch.as_input()] if batch else [])]
    predictions = {}
    for source, records in _records(lineage, product, settings, partition, batch):
        placed = about(records, questions, key=product.features.key)
        if placed.height:
            predictions[source] = placed
            if source == ENDPOINT:  # the batch is the input that holds it
                inputs.append(Input(f"served/{product.name}/{source}", partition, digest(placed)))
    bundles = sorted({bundle for frame in predictions.values() for bundle in frame["bundle"].to_list()})
    bad = recalls.derived(lineage.ledger, product.name)
    releases = {b: m for b in bundles if (m := release_of_bundle(lineage, product, b)) is not None and m.id not in bad}
    inputs += [release.as_input() for release in releases.values()]
    replaced = {
        b: m for b in releases if product.probation and (m := _replaced(lineage, product, b)) is not None and m.id not in bad
    }
    known = {given.manifest for given in inputs}
    inputs += [m.as_input() for m in {m.id: m for m in replaced.values()}.values() if m.id not in known]
    return Gathered(outcomes, predictions, releases, replaced, tuple(inputs))


def _records(
    lineage: Lineage, product: Product, settings: Settings, partition: str, batch: Manifest | None
) -> "Iterator[tuple[str, pl.DataFrame]]":
    """The records of each way of serving in production."""
    import polars as pl

    if batch is not None:
        yield BATCH, pl.read_parquet(io.BytesIO(lineage.snapshots.read(batch.snapshot, "predictions.parquet")))
    yield ENDPOINT, asked_about(lineage, product, settings, partition)


def asked_about(lineage: Lineage, product: Product, settings: Settings, partition: str) -> "pl.DataFrame":
    """The records of production's log whose questions are about the time of a partition, as they were sent; all records of a
    product whose questions have no time. Raises PredictionLogError."""
    import polars as pl

    from ml_assets.core.outcomes.served import is_within
    from ml_assets.serving.log.question_times import QuestionTimes
    from ml_assets.serving.log.reader import read, read_about

    folder, time = served_log(settings, lineage, product.name), product.features.time
    if not time or product.partitions.is_static:
        return read(folder).filter(pl.col("environment") == "production")
    start, end = partitions_of(product).window(partition)
    log = read_about(QuestionTimes(folder, time, start, end, settings.cache)).filter(pl.col("environment") == "production")
    return log.filter([is_within(text, time, start, end) for text in log["request"]])


def _replaced(lineage: Lineage, product: Product, bundle: str) -> Manifest | None:
    """The release that served before this bundle was promoted."""
    for move in lineage.ledger.moves(product.name, "production"):
        if move.kind == "promotion" and move.body.bundle == bundle:
            return release_of_bundle(lineage, product, move.body.previous) if move.body.previous else None
    return None


def release_of_bundle(lineage: Lineage, product: Product, bundle: str) -> Manifest | None:
    """The release that is this bundle, by the moves of production; None where it never served by this ledger."""
    for move in reversed(lineage.ledger.moves(product.name, "production")):
        if move.body.bundle == bundle:
            return lineage.ledger.manifest(move.body.manifest)
    return None
