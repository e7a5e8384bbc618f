"""raw and reference: what the source delivered, row for row, with the delivered bytes kept beside it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg

from ml_assets.core.digests import sha256
from ml_assets.core.manifests import Input, Output
from ml_assets.product import Product
from resources.assets import materialized, partitions_def, spec
from resources.landing import NotDelivered
from resources.leftovers import clear_home
from resources.lineage import Made
from resources.metadata import rows_metadata, tables_schema
from resources.workspace import Workspace


def build(product: Product) -> list[dg.AssetsDefinition]:
    """The raw asset of the product and, if it has reference tables, its reference asset."""
    raw_spec = spec(product, "raw", "Rows as the source delivered them.", deps=[], kinds={"polars", "parquet"})

    @dg.multi_asset(name=f"{product.name}__raw", specs=[raw_spec], partitions_def=partitions_def(product))
    def raw(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> dg.MaterializeResult[Any]:
        key = context.partition_key
        clear_home(workspace.settings)  # the path begins here
        made = _keep_or_read(workspace, product, key, run=context.run.run_id)
        return materialized(product, made, _metadata(workspace, product, made))

    return [raw, *([_reference(product)] if product.delivery.reference else [])]


def _reference(product: Product) -> dg.AssetsDefinition:
    description = "Reference tables that keep the contract; redelivered when they change."

    @dg.multi_asset(
        name=f"{product.name}__reference",
        specs=[spec(product, "reference", description, deps=[], kinds={"polars", "parquet", "pandera"})],
    )
    def reference(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> dg.MaterializeResult[Any]:
        files = _contents(workspace.landing.reference_files(product))
        recipe = workspace.lineage.recipe(product, "reference", "", delivered(product, "", files))
        made = workspace.lineage.make(recipe, partial(checked_reference, product, files), run=context.run.run_id)
        return materialized(product, made, _metadata(workspace, product, made))

    return reference


def _metadata(workspace: Workspace, product: Product, made: Made) -> dict[str, Any]:
    return {**rows_metadata(made.manifest), "dagster/column_schema": tables_schema(workspace, product, made.manifest)}


def _keep_or_read(workspace: Workspace, product: Product, key: str, *, run: str) -> Made:
    """Read what lies in the landing folder; when nothing does, what was read before stands."""
    known = workspace.ledger.current(product.name, "raw", key)
    try:
        files = _contents(workspace.landing.partition_files(product, key))
    except NotDelivered:
        if known is None or not workspace.snapshots.is_intact(known.snapshot):
            raise
        return Made(known, reused=True)
    recipe = workspace.lineage.recipe(product, "raw", key, delivered(product, key, files))
    return workspace.lineage.make(recipe, partial(read, product, files), run=run)


@dataclass(frozen=True)
class File:
    """A delivered file, read once: the bytes that are named by digest are those that are parsed."""

    path: Path
    content: bytes


def _contents(files: Mapping[str, Path]) -> dict[str, File]:
    return {table: File(path, path.read_bytes()) for table, path in files.items()}


def delivered(product: Product, key: str, files: Mapping[str, File]) -> tuple[Input, ...]:
    """The delivered files as inputs, by the digest of their bytes."""
    return tuple(Input(f"landing/{product.name}/{t}", key, sha256(file.content)) for t, file in files.items())


def read(product: Product, files: Mapping[str, File]) -> Output:
    """The rows of delivered files, and the files themselves."""
    from ml_assets.core.frames import parquet_bytes
    from ml_assets.core.reading import read_delivery

    specs = product.delivery.tables
    frames = {t: read_delivery(file.content, table=specs[t], name=str(file.path)) for t, file in files.items()}
    members = {f"{table}.parquet": parquet_bytes(frame) for table, frame in frames.items()}
    rows = {table: frame.height for table, frame in frames.items()}
    return Output(members | _as_delivered(files), {"rows": rows})


def _as_delivered(files: Mapping[str, File]) -> dict[str, bytes]:
    return {f"delivered/{table}{file.path.suffix}": file.content for table, file in files.items()}


def checked_reference(product: Product, files: Mapping[str, File]) -> Output:
    """The rows of delivered reference tables that keep the contract, those that do not, and the files themselves."""
    from ml_assets.core.contract import audit
    from ml_assets.core.frames import parquet_bytes
    from ml_assets.core.reading import read_delivery

    specs = product.delivery.reference
    frames = {t: read_delivery(file.content, table=specs[t], name=str(file.path)) for t, file in files.items()}
    found = audit(frames, product=product, partition_window=None)
    found.raise_if_breached(product=product.name, partition=None)
    members = {f"{name}.parquet": parquet_bytes(table.valid) for name, table in found.tables.items()}
    members |= {f"quarantine/{name}.parquet": parquet_bytes(table.refused) for name, table in found.tables.items()}
    members |= _as_delivered(files)
    facts = {"rows": {n: t.valid.height for n, t in found.tables.items()}}
    return Output(members, {**facts, "quarantined": {n: t.refused.height for n, t in found.tables.items()}})
