"""dataset and quarantine: rows that keep the contract, and rows that do not, each with its reason.

Nothing is published for a batch that breaches the contract: the last good partition stays.
"""

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

import dagster as dg

from ml_assets.core.manifests import Manifest, Output
from ml_assets.product import Product
from resources.assets import asset_key, materialized, partitions_def, spec
from resources.metadata import rows_metadata, tables_schema
from resources.workspace import Workspace

if TYPE_CHECKING:
    from ml_assets.core.contract import Audit


def build(product: Product) -> list[dg.AssetsDefinition]:
    """The dataset and quarantine assets, computed in one step from one audit."""
    deps = [asset_key(product, "raw")]
    specs = [
        spec(product, "dataset", "Rows that keep the contract.", deps=deps, kinds={"polars", "parquet", "pandera"}),
        spec(product, "quarantine", "Refused rows, each with its reason.", deps=deps, kinds={"polars", "parquet"}),
    ]

    @dg.multi_asset(name=f"{product.name}__dataset", specs=specs, partitions_def=partitions_def(product))
    def dataset(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> Iterator[dg.MaterializeResult[Any]]:
        key = context.partition_key
        raw = workspace.lineage.current(product, "raw", key)

        @cache
        def audited() -> "Audit":
            found = audit_raw(workspace, product, raw)
            found.raise_if_breached(product=product.name, partition=key)
            return found

        recipes = {s: workspace.lineage.recipe(product, s, key, [raw.as_input()]) for s in ("dataset", "quarantine")}
        kept = workspace.lineage.make(recipes["dataset"], lambda: kept_rows(audited()), run=context.run.run_id)
        refused = workspace.lineage.make(recipes["quarantine"], lambda: _refused(audited()), run=context.run.run_id)
        schema = tables_schema(workspace, product, kept.manifest)
        yield materialized(product, kept, {**rows_metadata(kept.manifest), "dagster/column_schema": schema})
        yield materialized(product, refused, _refused_metadata(refused.manifest))

    return [dataset]


def audit_raw(workspace: Workspace, product: Product, raw: Manifest) -> "Audit":
    """Hold one raw partition against the contract."""
    from ml_assets.core.contract import audit
    from ml_assets.core.partitions import partitions_of

    frames = {t: workspace.snapshots.frame(raw.snapshot, f"{t}.parquet") for t in product.delivery.tables}
    return audit(frames, product=product, partition_window=partitions_of(product).window(raw.partition))


def kept_rows(audit: "Audit") -> Output:
    """The rows that keep the contract."""
    from ml_assets.core.frames import parquet_bytes

    tables = audit.tables.items()
    files = {f"{name}.parquet": parquet_bytes(table.valid) for name, table in tables}
    return Output(files, {"rows": {name: table.valid.height for name, table in tables}})


def _refused(audit: "Audit") -> Output:
    from ml_assets.core.frames import parquet_bytes

    tables = audit.tables.items()
    files = {f"{name}.parquet": parquet_bytes(table.refused) for name, table in tables}
    reasons = {name: table.reasons for name, table in tables}
    return Output(files, {"rows": {name: t.refused.height for name, t in tables}, "reasons": reasons})


def _refused_metadata(manifest: Manifest) -> dict[str, Any]:
    rows = [
        dg.TableRecord({"table": table, "reason": reason, "rows": count})
        for table, reasons in manifest.facts["reasons"].items()
        for reason, count in reasons.items()
    ]
    columns = [dg.TableColumn("table"), dg.TableColumn("reason"), dg.TableColumn("rows", "int")]
    table = dg.MetadataValue.table(rows, schema=dg.TableSchema(columns=columns))
    return {**rows_metadata(manifest), "reasons": table}
