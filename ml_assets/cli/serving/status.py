"""`ml-assets status`: what a person on call wants to know first, then the current state of each partition."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from ml_assets.cli.shared.completion import PRODUCT
from ml_assets.cli.shared.context import product_named, workspace
from ml_assets.cli.shared.counter import counter
from ml_assets.cli.shared.tables import rows, table
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.spec.product import Product

if TYPE_CHECKING:
    from ml_assets.services.stale_evaluations import Staleness
    from resources.endpoints.replicas import Seen


@click.command()
@click.argument("product", type=PRODUCT)
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write it as a page, with figures, to this file.")
@click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON.")
def command(*, product: str, html: Path | None, as_json: bool) -> None:
    """Show what serves of PRODUCT, since when and why, the outcome of the newest partition, what is wrong or stale and what to do
    next; then one row per partition: rows, quarantined, metrics, verdict, release.

    With --html FILE the same is a page with figures over partitions that needs nothing else.

    Evaluations that other code, configuration or libraries made, or that no look was charged for in this home, are named before
    the table.
    """
    from ml_assets.services.automation.on_call import on_call
    from ml_assets.services.next_window import next_window
    from ml_assets.services.stale_evaluations import stale_evaluations, uncharged_evaluations
    from resources.endpoints.replicas import replicas

    space = workspace()
    spec = product_named(product, space.settings)
    with counter(as_json=as_json) as tell:
        tell(f"looking for what is stale of {product}")
        stale = stale_evaluations(space.lineage, spec)
    uncharged = uncharged_evaluations(space.lineage, spec)
    partitions = [
        row | {"stale": stale[key].message if (key := row["partition"]) in stale else None, "not_charged": uncharged.get(key)}
        for row in rows(space, spec)
    ]
    pointers = {e: space.ledger.pointer(product, e) for e in ("staging", "production")}
    serving = {name: entry.body.release if entry else None for name, entry in pointers.items()}
    servers = replicas(space.ledger.engine, product)
    waits, withheld = _waits(space, spec), _withheld(space, spec)
    now = on_call(space.lineage, space.landing, space.settings, spec)
    if html is not None:
        from ml_assets.services.automation.status_page import status_page

        html.parent.mkdir(parents=True, exist_ok=True)
        html.write_text(status_page(space.lineage, spec, now), encoding="utf-8")
    if as_json:
        payload = {"product": product, "now": now.to_dict(), "partitions": partitions, "answers": serving}
        payload |= {"replicas": [*map(_replica, servers)], "waits": waits, "withheld": withheld}
        click.echo(json.dumps(payload, indent=1))
        return
    lines = [f"{product}: {spec.title}", "", *now.lines(), "", *_stale_lines(stale.values())]
    lines += [f"{_span([*uncharged])}: {uncharged[max(uncharged)]}"] if uncharged else []
    lines += [table(spec, [row | {"verdict": _verdict(row)} for row in partitions])]
    lines += [f"{name}: {release or 'no release serves'}" for name, release in serving.items()]
    lines += [f"server: {seen.sentence()}" for seen in servers]
    lines += [next_window(space.ledger, spec)] if spec.partitions.is_static else []
    lines += [f"{name} {why}" for name, why in waits.items()] + [f"{name} is {why}" for name, why in withheld.items()]
    click.echo("\n".join(lines))


def _replica(seen: "Seen") -> dict[str, Any]:
    return {**msgspec.to_builtins(seen.replica), "silent_seconds": seen.silent_seconds, "is_silent": seen.is_silent}


def _verdict(row: Mapping[str, Any]) -> str | None:
    """The verdict, with what keeps it from being evidence here."""
    marks = [word for name, word in (("stale", "stale"), ("not_charged", "not charged here")) if row[name]]
    return f"{row['verdict']} ({', '.join(marks)})" if marks else row["verdict"]


def _stale_lines(stale: "Iterable[Staleness]") -> Iterator[str]:
    """One line for the evaluations that are stale for the same reason, with the command for the newest of them."""
    by_reason: dict[tuple[str, ...], list[Staleness]] = {}
    for stage in stale:
        by_reason.setdefault((stage.made_by, *stage.causes), []).append(stage)
    for same in by_reason.values():
        yield f"{_span([stage.partition for stage in same])}: {same[-1].message}"


def _span(keys: Sequence[str]) -> str:
    return keys[0] if len(keys) == 1 else f"{keys[0]} to {keys[-1]}, {len(keys)} evaluations"


def _waits(space: Workspace, product: Product) -> dict[str, str]:
    """The releases that wait for approval, and why."""
    from ml_assets.services.release_status import waiting

    return {status.name: status.decision.reasons[0] for status in waiting(space.lineage, product)}


def _withheld(space: Workspace, product: Product) -> dict[str, str]:
    """The releases that come from no clean commit, where the product asks for one, and why."""
    if product.promote is None:
        return {}
    from ml_assets.services.release_status import withheld

    return {status.name: status.decision.reasons[0] for status in withheld(space.lineage, product)}
