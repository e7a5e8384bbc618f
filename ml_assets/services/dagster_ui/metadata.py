"""Metadata that people see on an asset in Dagster's UI: pictures inline, all of them in one dialog, schemas, small tables."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from ml_assets.core.lineage.facts import ModelFacts, ReleaseFacts, TableFacts
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.spec.product import Product
from resources.store.snapshots import Snapshots


def pictures(measured: Mapping[str, Any]) -> dict[str, dg.MarkdownMetadataValue]:
    """The curves of an evaluation (its JSON form) small enough to be shown inline; and the confusion matrix."""
    from ml_assets.core.plots.thumbnails import PICTURES, confusion, thumbnail

    drawn = {name: thumbnail(name, measured["curves"][name]) for name in PICTURES if name in measured["curves"]}
    counts = measured["confusion"].get("candidate")
    shown = {**drawn, "confusion_matrix": confusion(counts, measured.get("classes", ())) if counts else None}
    return {name: dg.MetadataValue.md(text) for name, text in shown.items() if text}


def plots(snapshots: Snapshots, manifest: Manifest) -> dg.MarkdownMetadataValue:
    """Every plot of a snapshot in full size, in one dialog."""
    from ml_assets.core.plots.style import as_markdown

    names = sorted(n for n in snapshots.open(manifest.snapshot).members if n.startswith("plots/"))
    images = [as_markdown(snapshots.read(manifest.snapshot, n), name=n[6:-4].replace("_", " ")) for n in names]
    return dg.MetadataValue.md("\n".join(images))


def link(text: str, address: str) -> dg.MarkdownMetadataValue:
    """A link with a text of its own: Dagster cuts off a long address that stands for itself."""
    return dg.MetadataValue.md(f"[{text}]({address})")


def small_table(header: list[str], rows: list[list[Any]]) -> dg.MarkdownMetadataValue:
    """A table that is shown inline; what is too long for that is cut at its end."""
    from ml_assets.core.plots.thumbnails import table

    return dg.MetadataValue.md(table(header, rows))


def trained_in_words(facts: ModelFacts | ReleaseFacts) -> str:
    """The training data of a model, in words: the partitions or, of a delivery of a static table, the parts of its keys."""
    from ml_assets.core.model.split import names

    if facts.split is not None:
        return f"{facts.train[-1]}: {', '.join(names(facts.split.parts))}"
    return f"{facts.train[0]} to {facts.train[-1]}, {len(facts.train)} partitions"


def rows_metadata(manifest: Manifest) -> dict[str, int]:
    """Row counts, in total and by table: plotted over partitions."""
    rows = TableFacts.of(manifest).rows
    return {"dagster/row_count": sum(rows.values()), **{f"rows_{table}": count for table, count in rows.items()}}


def tables_schema(snapshots: Snapshots, product: Product, manifest: Manifest) -> dg.TableSchema:
    """The columns of every table of a snapshot as "<table>.<column>", as column lineage names them."""
    members = [name for name in snapshots.open(manifest.snapshot).members if name.endswith(".parquet")]
    schemas = {name: snapshots.columns(manifest.snapshot, name) for name in members}
    return dg.TableSchema(
        columns=[
            dg.TableColumn(f"{table}.{column}", str(kind))
            for table in product.tables
            for column, kind in schemas.get(f"{table}.parquet", {}).items()
        ]
    )
