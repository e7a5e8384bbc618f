"""The Dagster side that every stage shares: keys, partitions, dependencies and the result that is reported."""

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypedDict

import dagster as dg

from ml_assets.core.lineage.partitions import partitions_of
from ml_assets.core.lineage.reads import Span
from ml_assets.core.lineage.stages import STAGES, UNAWAITED, declared_reads
from ml_assets.core.lineage.warm_up import WARM_UP, is_warm_up
from ml_assets.spec.partitions import Every
from ml_assets.spec.product import Product
from resources.lineage import Build

SCHEDULES: Mapping[Every, str] = {
    "hour": "0 * * * *",
    "day": "0 0 * * *",
    "week": "0 0 * * 1",
    "month": "0 0 1 * *",
    "quarter": "0 0 1 1,4,7,10 *",
    "year": "0 0 1 1 *",
}
"""When slices of time begin."""
RUNS_LAST = {stage: {"dagster/priority": str(-place)} for place, stage in enumerate(UNAWAITED, 1)}
"""Tags of the steps that no decision waits for: they run when nothing else can, so that they delay none."""


def asset_key(product: Product, stage: str) -> dg.AssetKey:
    """`[product, stage]`; an endpoint's key is `[product, "endpoint", environment]`."""
    return dg.AssetKey([product.name, *stage.split("/")])


def partitions_def(product: Product) -> dg.PartitionsDefinition[str]:
    """The product's partitions as Dagster's, with the same keys. Deliveries are known to an instance once they are there."""
    if product.partitions.is_static:
        return dg.DynamicPartitionsDefinition(name=deliveries_name(product))
    calendar, spec = partitions_of(product), product.partitions
    schedule = SCHEDULES[spec.every]
    return dg.TimeWindowPartitionsDefinition(
        start=spec.start, end=spec.end, fmt=calendar.fmt, cron_schedule=schedule, timezone=spec.timezone
    )


def deliveries_name(product: Product) -> str:
    """The name of a static table's partitions in Dagster."""
    return f"{product.name}_deliveries"


def make_known(instance: dg.DagsterInstance, product: Product, deliveries: Iterable[str]) -> None:
    """Have Dagster know deliveries of a static table, which it can run only then; slices of time it knows by the calendar."""
    if not product.partitions.is_static:
        return
    if missing := sorted(set(deliveries) - set(instance.get_dynamic_partitions(deliveries_name(product)))):
        instance.add_dynamic_partitions(deliveries_name(product), missing)


def declared_deps(product: Product, stage: str) -> list[dg.AssetDep]:
    """The dependencies of a stage, as core.lineage.stages declares what it reads: one for each stage, from its first partition
    that is read to its last."""
    spans: dict[str, list[Span]] = {}
    for read in declared_reads(product, stage):
        if read.stage == stage:  # earlier deliveries of a static table: Dagster has no mapping for them
            continue
        spans.setdefault(read.stage, []).append(read.span(product))
    return [_dep(product, stage, [span for span in read if span[0] <= span[1]]) for stage, read in spans.items()]


def upstream_deps(product: Product, stage: str) -> list[dg.AssetDep]:
    """The assets of other teams that announce deliveries, as product.yaml names them: raw, reference and outcomes come after
    them."""
    outcomes = [*product.labels.delivered] if product.labels else []
    by_stage = {"raw": [*product.delivery.tables], "reference": [*product.delivery.reference], "outcomes": outcomes}
    tables = by_stage.get(stage, [])
    keys = {source.asset for table, source in product.sources.items() if source.asset and table in tables}
    return [dg.AssetDep(dg.AssetKey([*key]), partition_mapping=dg.AllPartitionMapping()) for key in sorted(keys)]


def _dep(product: Product, stage: str, spans: Sequence[Span]) -> dg.AssetDep:
    first, last = min(first for first, _ in spans), max(last for _, last in spans)
    if (first, last) == (0, 0):
        return dg.AssetDep(asset_key(product, stage))
    with unfinished_apis():
        mapping = dg.TimeWindowPartitionMapping(start_offset=first, end_offset=last, allow_nonexistent_upstream_partitions=True)
    return dg.AssetDep(asset_key(product, stage), partition_mapping=mapping)


@contextmanager
def unfinished_apis() -> Iterator[None]:
    """Use what Dagster calls beta or preview without its warnings; tests/project/test_upstream.py pins what it does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        warnings.simplefilter("ignore", dg.PreviewWarning)
        yield


PAGES: Mapping[str, str] = {
    "features": "recipes.md",
    "model": "product.md",
    "evaluation": "gates.md",
    "report": "gates.md",
    "tracking": "serving.md",
    "release": "operations.md",
    "endpoint": "serving.md",
    "predictions": "serving.md",
    "monitoring": "monitoring.md",
    "outcomes": "monitoring.md",
    "realised": "monitoring.md",
}
"""The page of the documentation about a stage; that of all stages for those that are not here."""


def page_of(stage: str) -> str:
    """The page about a stage, below docs/."""
    return PAGES.get(stage.partition("/")[0], "concepts.md")


class Declaration(TypedDict):
    """The part of an asset's definition that follows from the product and the stage."""

    key: dg.AssetKey
    deps: Sequence[dg.AssetDep]
    description: str
    group_name: str
    kinds: set[str]
    partitions_def: dg.PartitionsDefinition[Any] | None


def declaration(product: Product, stage: str, description: str, *, kinds: set[str], after: str = "") -> Declaration:
    """The arguments of `dg.asset`, or of an `AssetSpec`, for a stage: its key, dependencies, group, kinds and partitions. An
    endpoint, which isn't a stage of core.lineage.stages, comes `after` another asset."""
    is_partitioned = stage in STAGES and STAGES[stage].is_partitioned
    return {
        "key": asset_key(product, stage),
        "deps": [dg.AssetDep(asset_key(product, after))]
        if after
        else declared_deps(product, stage) + upstream_deps(product, stage),
        "description": f"{description} Documentation: `docs/{page_of(stage)}`.",
        "group_name": product.name,
        "kinds": kinds,
        "partitions_def": partitions_def(product) if is_partitioned else None,
    }


def materialized(product: Product, result: Build, metadata: Mapping[str, Any] | None = None) -> dg.MaterializeResult[Any]:
    """Report a stage's result to Dagster: its data version, whether it was reused, and its manifest."""
    manifest = result.manifest
    provenance: dict[str, Any] = {
        "reused": dg.MetadataValue.bool(result.reused),
        "data_version": _digest(manifest.data_version),
        "manifest": _digest(manifest.id),
        "lineage": dg.MetadataValue.md(f"`ml-assets lineage {manifest.id[:12]}`"),
        "impact": dg.MetadataValue.md(f"`ml-assets impact {manifest.id[:12]}`"),
        "inputs": inputs_table(result),
    }
    return dg.MaterializeResult(
        asset_key=asset_key(product, manifest.recipe.stage),
        data_version=dg.DataVersion(manifest.data_version),
        metadata={**(metadata or {}), **provenance},
    )


def _digest(digest: str) -> dg.MarkdownMetadataValue:
    """A digest that may be broken in its middle: in one line it is wider than its column, and clips all that stands there."""
    half = len(digest) // 2
    return dg.MetadataValue.md(f"`{digest[:half]}` `{digest[half:]}`")


def report_warm_up(context: dg.AssetExecutionContext, product: Product, stages: Iterable[str], key: str, why: str) -> None:
    """Let Dagster take a partition for done of which the calendar leaves these stages nothing to make: it would stay grey, as if
    somebody had forgotten it. The event says so, and has no data version; the ledger, which decides, has nothing of it. It is
    reported once: Dagster shows the event that came last, which should be about something that was made."""
    for stage in stages:
        name = asset_key(product, stage)
        if is_warm_up(product, stage, key) and key not in context.instance.get_materialized_partitions(name):
            in_words = f"warm-up: {why}"
            context.log_event(dg.AssetMaterialization(name, partition=key, description=in_words, metadata={WARM_UP: why}))


def inputs_table(result: Build) -> dg.TableMetadataValue:
    """The inputs of a manifest, one row each, which Dagster's own provenance doesn't keep per partition."""
    rows = [
        dg.TableRecord({"asset": i.asset, "partition": i.partition, "data_version": i.data_version[:10]})
        for i in result.manifest.recipe.inputs
    ]
    columns = [dg.TableColumn(name, "string") for name in ("asset", "partition", "data_version")]
    return dg.MetadataValue.table(rows, schema=dg.TableSchema(columns=columns))
