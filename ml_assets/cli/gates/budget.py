"""`ml-assets gates budget`: the looks at each test window, how many are left, and when the next window is due."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click

from ml_assets.cli.shared.completion import PRODUCT
from ml_assets.cli.shared.context import product_named, workspace
from ml_assets.cli.shared.tables import columns
from ml_assets.services.judging.kept_candidate_text import kept_next
from ml_assets.services.next_window import next_partition
from ml_assets.spec.product import Product
from resources.ledger.budget import Budget, BudgetWindow

SHOWN = 12
"""Partitions that the picture has, the newest."""
MARKS = {"ACCEPT": "A", "REJECT": "R", "INCONCLUSIVE": "?", None: "o"}


@click.command()
@click.argument("product", type=PRODUCT)
@click.option("--json", "as_json", is_flag=True, help="Print the windows as JSON.")
def command(product: str, as_json: bool) -> None:
    """Show the budget of each test window of PRODUCT: looks, promotions, and what is left."""
    space = workspace()
    spec = product_named(product, space.settings)
    windows = Budget(space.ledger).windows(spec)
    rows, key = [_row(window) for window in windows], next_partition(space.ledger, spec)
    kept = kept_next(space.lineage, spec)
    outcome = {"product": product, **_declared(spec), "windows": rows, "next": key, "kept": kept or None}
    if as_json:
        click.echo(json.dumps(outcome, indent=1))
        return
    _print(spec, outcome)


def _declared(product: Product) -> dict[str, Any]:
    from ml_assets.core.gates.levels import look_level, nodes

    budget, pooled = product.gates.budget, product.gates.pooled
    return {
        "alpha": budget.alpha,
        "looks": budget.looks,
        "ships": budget.ships,
        "nodes": nodes(budget.looks, budget.ships),
        "level": look_level(product.gates),
        "pooled": pooled.model_dump() if pooled else None,
    }


def _row(window: BudgetWindow) -> dict[str, Any]:
    looks = [
        {
            "number": look.number,
            "at": look.at,
            "run": look.run,
            "gate": look.gate,
            "decision": look.decision,
            "paid_by": list(look.paid),
        }
        for look in window.looks
    ]
    return {
        "window": list(window.partitions),
        "looks": looks,
        "is_pooled": window.is_pooled,
        "most_looks": window.most_looks,
        "ships": window.ships,
        "left": window.left,
        "retired": window.why_retired or None,
    }


def _print(product: Product, outcome: dict[str, Any]) -> None:
    click.echo(
        f"{product.name}: each test window may be looked at {outcome['looks']} times and let through {outcome['ships']}; "
        f"{100 * outcome['alpha']:g} % over a window is {100 * outcome['level']:.3g} % a look, as it can decide "
        f"{outcome['nodes']} comparisons"
    )
    if pooled := outcome["pooled"]:
        life = "that level is shared by them" if pooled["promise"] == "pair" else "each of these verdicts has that level"
        click.echo(f"one undecided candidate is kept, and asked over {pooled['windows']} windows pooled; {life}")
    click.echo()
    rows = [
        [
            _named(window),
            f"{len(window['looks'])} of {window['most_looks']}",
            ", ".join(look["decision"] or "no verdict yet" for look in window["looks"]),
            f"{window['left']} left" if window["left"] else f"retired: {window['retired']}",
        ]
        for window in outcome["windows"]
    ]
    click.echo(columns([["test window", "looks", "verdicts", "budget"], *rows]) if rows else "no window was looked at yet")
    if rows:
        click.echo(f"\n{_picture(outcome['windows'])}")
    if outcome["kept"]:
        click.echo(f"\n{outcome['kept']}")
    click.echo(
        f"\nnext window: opens with {outcome['next']}" if outcome["next"] else "\nnext window: none, the last partition is in"
    )


def _named(window: Mapping[str, Any]) -> str:
    """A test window in words; of pooled ones with the partitions that paid for the look."""
    name = " to ".join(dict.fromkeys((window["window"][0], window["window"][-1])))
    paid = dict.fromkeys(key for look in window["looks"] for key in look["paid_by"])
    return f"{name} pooled, paid by {', '.join(paid)}" if window["is_pooled"] else name


def _picture(windows: Sequence[Mapping[str, Any]]) -> str:
    """Partitions from left to right and a line for each window: a mark for each candidate that it was asked about, where the
    first partition is that paid for it. Below, how many looks each partition was charged by all of its windows."""
    keys = sorted({key for window in windows for key in window["window"]})[-SHOWN:]
    width = max(map(len, keys)) + 2
    lines = ["".join(key.ljust(width) for key in keys)]
    for window in windows:
        covered = [key for key in keys if key in window["window"]]
        marks: dict[str, str] = {}
        for look in window["looks"]:
            payer = next((key for key in covered if key in look["paid_by"]), "")
            marks[payer] = marks.get(payer, "") + MARKS[look["decision"]]
        cells = {key: marks.get(key, "").ljust(width, "─" if key != covered[-1] else " ") for key in covered}
        lines += ["".join(cells.get(key, "·".ljust(width)) for key in keys)] if covered else []
    charged = [sum(key in look["paid_by"] for window in windows for look in window["looks"]) for key in keys]
    legend = ", ".join(f"{mark} {decision or 'no verdict yet'}" for decision, mark in MARKS.items())
    return "\n".join([*lines, "".join(str(count).ljust(width) for count in charged) + "looks charged", f"({legend})"])
