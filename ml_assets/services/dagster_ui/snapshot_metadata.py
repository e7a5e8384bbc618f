"""The metadata in Dagster of a snapshot of raw to features: rows, columns, reasons, and where each feature comes from."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from ml_assets.core.lineage.facts import FeaturesFacts, OutcomesFacts, QuarantineFacts
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.outcomes.maturity import matures_at
from ml_assets.services.dagster_ui.metadata import rows_metadata, small_table, tables_schema
from ml_assets.spec.product import Product
from resources.dagster_assets import asset_key, unfinished_apis
from resources.dbt.build import Dbt
from resources.store.snapshots import Snapshots

FEATURES_SQL = "features.sql"
"""The member of a features snapshot that holds the SQL that made it."""


def tables_shown(snapshots: Snapshots, product: Product, manifest: Manifest) -> dict[str, Any]:
    """The metadata of one snapshot of tables: raw, reference, dataset or quarantine."""
    if manifest.recipe.stage == "quarantine":
        return _quarantine(manifest)
    return {**rows_metadata(manifest), "dagster/column_schema": tables_schema(snapshots, product, manifest)}


def _quarantine(manifest: Manifest) -> dict[str, Any]:
    rows = [
        dg.TableRecord({"table": table, "reason": reason, "rows": count})
        for table, reasons in QuarantineFacts.of(manifest).reasons.items()
        for reason, count in reasons.items()
    ]
    columns = [dg.TableColumn("table"), dg.TableColumn("reason"), dg.TableColumn("rows", "int")]
    table = dg.MetadataValue.table(rows, schema=dg.TableSchema(columns=columns))
    return {**rows_metadata(manifest), "reasons": table}


def models_shown(product: Product) -> dict[str, Any]:
    """The metadata of the features asset before any partition is built: the SQL of each, and where its file lies."""
    models = {name: sql.decode() for name, sql in product.dbt.items() if name.endswith(".sql")}
    with unfinished_apis():
        references = dg.CodeReferencesMetadataValue(
            code_references=[
                dg.LocalFileCodeReference(file_path=str(product.files.dbt_path(name)), label=name)
                for name in models
                if name in product.files.dbt
            ]
        )
    return {**{name: _sql(text) for name, text in models.items()}, "dagster/code_references": references}


def features_shown(snapshots: Snapshots, dbt: Dbt, product: Product, manifest: Manifest) -> dict[str, Any]:
    """The metadata of one snapshot of features, with the compiled SQL that made it."""
    described = dbt.columns(product)
    columns = [dg.TableColumn(c.name, c.type, c.description or None) for c in described]
    lineage: Mapping[str, list[dg.TableColumnDep]] = {
        column: [dg.TableColumnDep(asset_key(product, stage), name) for stage, name in origins]
        for column, origins in dbt.column_lineage(product).items()
    }
    facts = FeaturesFacts.of(manifest)
    return {
        "dagster/row_count": facts.rows,
        "rows_labelled": facts.labelled,
        "share_labelled": facts.labelled / facts.rows if facts.rows else 0.0,
        "dagster/column_schema": dg.TableSchema(columns=columns),
        "dagster/column_lineage": dg.TableColumnLineage(lineage),
        **_compiled(snapshots, manifest),
    }


def _compiled(snapshots: Snapshots, manifest: Manifest) -> dict[str, Any]:
    """The compiled SQL. It informs: a snapshot without it, as another version may have written, stops nothing."""
    if FEATURES_SQL not in snapshots.open(manifest.snapshot).members:
        return {}
    return {"compiled_sql": _sql(snapshots.read(manifest.snapshot, FEATURES_SQL).decode())}


def _sql(text: str) -> dg.MarkdownMetadataValue:
    return dg.MetadataValue.md(f"```sql\n{text.strip()}\n```")


def outcomes_shown(product: Product, manifest: Manifest) -> dict[str, Any]:
    """The metadata of one snapshot of outcomes: how many came, when they are complete, and what was refused."""
    facts, at = OutcomesFacts.of(manifest), matures_at(product, manifest.partition)
    refused = small_table(["reason", "rows"], [[reason, str(count)] for reason, count in facts.refused.items()])
    return {
        "dagster/row_count": facts.rows,
        "known": facts.known,
        "coverage": facts.known / facts.rows if facts.rows else 0.0,
        "complete_at": f"{at:%Y-%m-%d %H:%M} UTC" if at else "as they come",
        **({"delay_days": facts.delay_days} if facts.delay_days is not None else {}),
        **({"refused": refused} if facts.refused else {}),
    }
