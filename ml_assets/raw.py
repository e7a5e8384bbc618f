"""raw and reference: what the source delivered, row for row, with the delivered bytes kept beside it."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg

from ml_assets.core.digests import digest_file
from ml_assets.core.manifests import Input, Output
from ml_assets.product import Product
from resources.assets import materialized, partitions_def, spec
from resources.landing import NotDelivered
from resources.lineage import Made
from resources.workspace import Workspace


def build(product: Product) -> list[dg.AssetsDefinition]:
    """The raw asset of the product and, if it has reference tables, its reference asset."""
    raw_spec = spec(product, "raw", "Rows as the source delivered them.", deps=[], kinds={"polars", "parquet"})

    @dg.multi_asset(name=f"{product.name}__raw", specs=[raw_spec], partitions_def=partitions_def(product))
    def raw(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> dg.MaterializeResult[Any]:
        key = context.partition_key
        made = _keep_or_read(workspace, product, key, run=context.run_id)
        return materialized(product, made, {"dagster/row_count": sum(made.manifest.facts["rows"].values())})

    return [raw, *([_reference(product)] if product.delivery.reference else [])]


def _reference(product: Product) -> dg.AssetsDefinition:
    description = "Reference tables that keep the contract; redelivered when they change."

    @dg.multi_asset(
        name=f"{product.name}__reference",
        specs=[spec(product, "reference", description, deps=[], kinds={"polars", "parquet", "pandera"})],
    )
    def reference(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> dg.MaterializeResult[Any]:
        files = workspace.landing.reference_files(product)
        recipe = workspace.lineage.recipe(product, "reference", "", _delivered(product, "", files))
        made = workspace.lineage.make(recipe, partial(_checked_reference, product, files), run=context.run_id)
        return materialized(product, made, {"dagster/row_count": sum(made.manifest.facts["rows"].values())})

    return reference


def _keep_or_read(workspace: Workspace, product: Product, key: str, *, run: str) -> Made:
    """Read what lies in the landing folder; when nothing does, what was read before stands."""
    known = workspace.ledger.current(product.name, "raw", key)
    try:
        files = workspace.landing.partition_files(product, key)
    except NotDelivered:
        if known is None or not workspace.snapshots.is_intact(known.snapshot):
            raise
        return Made(known, reused=True)
    recipe = workspace.lineage.recipe(product, "raw", key, _delivered(product, key, files))
    return workspace.lineage.make(recipe, partial(_read, product, files), run=run)


def _delivered(product: Product, key: str, files: Mapping[str, Path]) -> tuple[Input, ...]:
    return tuple(Input(f"landing/{product.name}/{table}", key, digest_file(path)) for table, path in files.items())


def _read(product: Product, files: Mapping[str, Path]) -> Output:
    from ml_assets.core.frames import parquet_bytes
    from ml_assets.core.reading import read_delivery

    contents = {table: path.read_bytes() for table, path in files.items()}
    frames = {t: read_delivery(contents[t], table=product.delivery.tables[t], name=str(files[t])) for t in files}
    members = {f"{table}.parquet": parquet_bytes(frame) for table, frame in frames.items()}
    members |= {f"delivered/{table}{path.suffix}": contents[table] for table, path in files.items()}
    return Output(members, {"rows": {table: frame.height for table, frame in frames.items()}})


def _checked_reference(product: Product, files: Mapping[str, Path]) -> Output:
    from ml_assets.core.contract import audit
    from ml_assets.core.frames import parquet_bytes
    from ml_assets.core.reading import read_delivery

    specs = product.delivery.reference
    frames = {t: read_delivery(path.read_bytes(), table=specs[t], name=str(path)) for t, path in files.items()}
    found = audit(frames, product=product, partition_window=None)
    found.raise_if_breached(product=product.name, partition=None)
    members = {f"{name}.parquet": parquet_bytes(table.valid) for name, table in found.tables.items()}
    members |= {f"quarantine/{name}.parquet": parquet_bytes(table.refused) for name, table in found.tables.items()}
    members |= {f"delivered/{table}{path.suffix}": path.read_bytes() for table, path in files.items()}
    facts = {"rows": {n: t.valid.height for n, t in found.tables.items()}}
    return Output(members, {**facts, "quarantined": {n: t.refused.height for n, t in found.tables.items()}})
