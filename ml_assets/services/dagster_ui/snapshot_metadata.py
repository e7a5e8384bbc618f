"""What Dagster shows of a snapshot of raw to features: rows, columns, reasons, and where each feature comes from."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from ml_assets.core.lineage.facts import FeaturesFacts, QuarantineFacts
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.services.dagster_ui.metadata import rows_metadata, tables_schema
from ml_assets.spec.product import Product
from resources.dagster_assets import asset_key
from resources.workspace import Workspace


def shown(space: Workspace, product: Product, manifest: Manifest) -> dict[str, Any]:
    """The metadata of one snapshot, by its stage."""
    match manifest.recipe.stage:
        case "quarantine":
            return _quarantine(manifest)
        case "features":
            return _features(space, product, manifest)
    return {**rows_metadata(manifest), "dagster/column_schema": tables_schema(space, product, manifest)}


def _quarantine(manifest: Manifest) -> dict[str, Any]:
    rows = [
        dg.TableRecord({"table": table, "reason": reason, "rows": count})
        for table, reasons in QuarantineFacts.of(manifest).reasons.items()
        for reason, count in reasons.items()
    ]
    columns = [dg.TableColumn("table"), dg.TableColumn("reason"), dg.TableColumn("rows", "int")]
    table = dg.MetadataValue.table(rows, schema=dg.TableSchema(columns=columns))
    return {**rows_metadata(manifest), "reasons": table}


def _features(space: Workspace, product: Product, manifest: Manifest) -> dict[str, Any]:
    described = space.dbt.columns(product)
    columns = [dg.TableColumn(c.name, c.type, c.description or None) for c in described]
    lineage: Mapping[str, list[dg.TableColumnDep]] = {
        column: [dg.TableColumnDep(asset_key(product, stage), name) for stage, name in origins]
        for column, origins in space.dbt.column_lineage(product).items()
    }
    facts = FeaturesFacts.of(manifest)
    return {
        "dagster/row_count": facts.rows,
        "rows_labelled": facts.labelled,
        "share_labelled": facts.labelled / facts.rows if facts.rows else 0.0,
        "dagster/column_schema": dg.TableSchema(columns=columns),
        "dagster/column_lineage": dg.TableColumnLineage(lineage),
    }
