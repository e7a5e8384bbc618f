"""`ml-assets plan`: what would run now, and why; what would be reused."""

import gc
import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from ml_assets.cli.shared.completion import PRODUCT
from ml_assets.cli.shared.context import workspace
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.spec.product import Product, ProductError

if TYPE_CHECKING:
    from ml_assets.core.lineage.planning import Item

STALE = 2
SHOWN = 40


@click.command()
@click.argument("product", type=PRODUCT, required=False)
@click.option("--partition", "-p", help="Only this partition.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
def command(product: str | None, partition: str | None, as_json: bool) -> None:
    """Compare the current snapshots with what code, configuration and delivered data would make now, by content.

    Exit code 0: nothing to do; 2: something is stale or was never made; 1: an error, or gates by which
    no run may begin.
    """
    from ml_assets.cli.shared.context import UnknownProduct, checked_product, partition_named
    from ml_assets.services.judging.gate_standards import GatesRefused, gate_breaches, refused_gates
    from ml_assets.services.runnable_products import checked_products

    space = workspace()
    problems: list[str] = []
    if product:
        products = {product: checked_product(product, space.settings)}
        if partition:
            partition_named(space, products[product], partition)
    else:
        products, problems = checked_products(space.settings.products, space.settings.cache)
        if not products and not problems:
            raise UnknownProduct(f"there is no product in {', '.join(map(str, space.settings.products))}")
    with _nothing_collected():
        plans = {name: _plan(space, spec, partition) for name, spec in products.items()}
    for name, spec in products.items():
        plans[name]["gates"] = gate_breaches(space.ledger, spec)
    if as_json:
        click.echo(json.dumps(plans, indent=1))
    else:
        for name, plan in plans.items():
            _print_product(space, products[name], plan)
    if problems:
        raise ProductError(*problems)
    if refusals := [refusal for spec in products.values() if (refusal := refused_gates(space.ledger, spec))]:
        raise GatesRefused("\n".join(refusals))
    sys.exit(STALE if any(plan["run"] for plan in plans.values()) else 0)


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """A large plan is a million small objects that are in use until it is printed: there is no garbage to look for."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _plan(space: Workspace, product: Product, partition: str | None) -> dict[str, Any]:
    from ml_assets.services.planning.plan import make_plan, tell

    planned = make_plan(space.lineage, space.landing, product, cache=space.settings.cache)
    items = [item for item in planned if partition in (None, item.partition)]
    causes_in_words = {cause: tell(space.ledger, product, cause) for item in items for cause in item.causes}
    counts = Counter(causes_in_words[cause] for item in items for cause in item.causes)
    return {"run": [_row(item, causes_in_words) for item in items], "causes": dict(counts.most_common())}


def _row(item: "Item", causes_in_words: dict[Any, str]) -> dict[str, Any]:
    because = list(dict.fromkeys(causes_in_words[cause] for cause in item.causes))
    return {"stage": item.stage, "partition": item.partition, "state": item.state, "causes": because}


def _print_product(space: Workspace, product: Product, plan: dict[str, Any]) -> None:
    """The plan of one product, and what its history says against its gates."""
    from ml_assets.cli.shared.context import nothing_delivered
    from ml_assets.services.next_window import next_window

    if plan["run"] or space.ledger.partitions(product.name, "raw"):
        _print(product.name, plan)
        if product.partitions.is_static:
            click.echo(f"{product.name}: {next_window(space.ledger, product)}")
    else:
        click.echo(nothing_delivered(space, product))
    for breach in plan["gates"]:
        click.echo(f"{product.name}: gates: {breach}")


def _print(name: str, plan: dict[str, Any]) -> None:
    if not plan["run"]:
        click.echo(f"{name}: nothing to do, everything is current: code, configuration and data would make the same now")
        return
    click.echo(f"{name}: {len(plan['run'])} to run")
    for row in plan["run"][:SHOWN]:
        click.echo(f"  {row['state']:<8}{row['stage']:<11}{row['partition']:<14}{'; '.join(row['causes'])}")
    if (hidden := len(plan["run"]) - SHOWN) > 0:
        click.echo(f"  and {hidden} more; --json lists them all")
    click.echo("root causes:")
    for cause, count in plan["causes"].items():
        click.echo(f"  {count:>6}  {cause}")
