"""`ml-assets quarantine`: the refused rows of a partition, with their values and reasons."""

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from ml_assets.cli.shared.completion import PRODUCT
from ml_assets.cli.shared.context import checked_product, partition_named, workspace
from ml_assets.cli.shared.tables import columns

if TYPE_CHECKING:
    from ml_assets.services.audit.refused_rows import RefusedRows

SHOWN = 20
"""Rows of a table that are shown as text."""
LONGEST = 80
"""Characters of a row's values that are shown as text."""


@click.command()
@click.argument("product", type=PRODUCT)
@click.option("--partition", "-p", help="Partition key; the newest delivered one if not given.")
@click.option("--table", "-t", "name", help="Only this table.")
@click.option("--format", "-f", "style", type=click.Choice(["text", "csv", "json"]), default="text", show_default=True)
def command(product: str, partition: str | None, name: str | None, style: str) -> None:
    """Show the rows of PRODUCT's partition that the contract refuses, as they were delivered, each with its reason.

    They are shown too if too many are refused and nothing is published. CSV has all rows of one table, JSON those of all.
    """
    from ml_assets.services.audit.refused_rows import refused_rows

    space = workspace()
    spec = checked_product(product, space.settings)
    if name:
        spec.table(name)
    key = partition_named(space, spec, partition)
    tables = [table for table in refused_rows(space.lineage, spec, key) if name in (None, table.table)]
    match style:
        case "csv":
            click.echo(_csv(tables), nl=False)
        case "json":
            click.echo(json.dumps({"product": product, "partition": key, "tables": _json(tables)}, indent=1, default=str))
        case _:
            click.echo("\n".join(line for table in tables for line in _text(table, f"{product} {key}")))


def _csv(tables: Sequence["RefusedRows"]) -> str:
    refused = [table for table in tables if table.rows.height] or list(tables[:1])
    if len(refused) > 1:
        raise click.UsageError(f"rows of {', '.join(table.table for table in refused)} are refused; choose one with --table")
    return "".join(table.rows.select("row", "reason", *table.rows.columns[:-2]).write_csv() for table in refused)


def _json(tables: Sequence["RefusedRows"]) -> dict[str, Any]:
    return {
        table.table: {
            "delivered": table.delivered,
            "refused": table.rows.height,
            "share": table.share,
            "limit": table.limit,
            "reasons": dict(table.reasons),
            "breaches": list(table.breaches),
            "rows": table.rows.to_dicts(),
        }
        for table in tables
    }


def _text(table: "RefusedRows", title: str) -> Iterator[str]:
    share = f"{100 * table.share:.3g} %, limit {100 * table.limit:g} %"
    yield f"{title} {table.table}: {table.rows.height:,} of {table.delivered:,} rows refused ({share})"
    yield from (f"not published: {message}" for message in table.breaches)
    if not table.rows.height:
        return
    yield from (f"{count:>8,}  {reason}" for reason, count in table.reasons.items())
    shown = [
        [str(row["row"]), row["reason"], ", ".join(f"{name}={value!r}" for name, value in table.values(row).items())[:LONGEST]]
        for row in table.rows.head(SHOWN).iter_rows(named=True)
    ]
    yield columns([["row", "reason", "values"], *shown])
    if (hidden := table.rows.height - SHOWN) > 0:
        yield f"and {hidden:,} more; `--format csv --table {table.table}` has them all"
