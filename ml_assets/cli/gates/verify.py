"""`ml-assets gates verify`: whether the declared error rate holds on the rows of an evaluation."""

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from ml_assets.cli.shared.completion import PRODUCT
from ml_assets.cli.shared.context import product_named, workspace
from ml_assets.cli.shared.counter import counter
from ml_assets.cli.shared.tables import columns
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.lineage.facts import EvaluationFacts
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.spec.claim_grammar import MODELS
from ml_assets.spec.product import Product

if TYPE_CHECKING:
    import polars as pl

    from ml_assets.core.gate_lab.boundary import Boundary, DesignEffect
    from ml_assets.core.metrics.arrays import Ints


@click.command()
@click.argument("product", type=PRODUCT)
@click.option("--partition", "-p", help="Partition key; the newest evaluation that had a champion if not given.")
@click.option("--samples", type=click.IntRange(min=50), default=500, show_default=True, help="The number of windows to judge.")
@click.option("--seed", type=int, default=1, show_default=True, help="The seed of the draws.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def command(product: str, partition: str | None, samples: int, seed: int, as_json: bool) -> None:
    """Judge stored rows of PRODUCT again and again, each claim at the pair's own difference, and count what is let through.

    Units are drawn with replacement, those in the order of time a week's worth together. Exit code 1: a claim is let through more
    often than its level, with 99 % confidence, or the declared unit is too small: coarser ones show more variance.
    """
    from ml_assets.core.evaluation.snapshot import Scores, panel_of
    from ml_assets.core.gate_lab.boundary import at_boundary, design_effects, provable, wrong_units
    from ml_assets.core.gates.levels import look_level
    from ml_assets.core.metrics.score_columns import has, of_columns

    space = workspace()
    spec = product_named(product, space.settings)
    evaluation = _evaluation(space, spec, partition)
    frame = space.snapshots.frame(evaluation.snapshot, "scores.parquet")
    classes = spec.features.class_names
    scores: Scores = {role: of_columns(frame, role, classes) for role in MODELS if has(frame, role, classes)}
    panel = panel_of(frame, scores, product=spec)
    claims = provable(spec.gates.claims, panel)
    if not claims:
        raise click.ClickException(f"{product} {evaluation.partition}: no claim is proven on all rows, so none has a boundary")
    effects = design_effects(panel, claims, _candidate_units(frame, spec))
    units, at = panel.units.count, look_level(spec.gates)
    with counter(as_json=as_json) as tell:
        boundaries = at_boundary(
            panel,
            claims,
            level=at,
            units=units,
            samples=samples,
            seed=seed,
            tell=lambda done: tell(f"{done} of {samples} windows judged"),
        )
    wrong = wrong_units(effects, unit=spec.gates.unit)
    is_kept = all(boundary.holds for boundary in boundaries) and not wrong
    outcome = _outcome(spec, evaluation, boundaries, effects, rows=panel.rows, units=units, samples=samples, seed=seed)
    if as_json:
        click.echo(json.dumps({"is_kept": is_kept, **outcome}, indent=1))
    else:
        _print(spec, evaluation, boundaries, effects, wrong, units=units)
    sys.exit(0 if is_kept else 1)


def _evaluation(space: Workspace, product: Product, partition: str | None) -> Manifest:
    if partition:
        return space.lineage.current(product, "evaluation", partition)
    for key in reversed(space.ledger.partitions(product.name, "evaluation")):
        evaluation = space.lineage.current(product, "evaluation", key)
        if EvaluationFacts.of(evaluation).champion is not None:
            return evaluation
    raise click.ClickException(
        f"{product.name}: no evaluation had a champion yet; --partition takes one of a first release, with its absolute claims"
    )


def _candidate_units(frame: "pl.DataFrame", product: Product) -> "dict[str, Ints]":
    """Row codes by what could be independent: calendar units of the time column, and the stored columns of units and slices."""
    from ml_assets.core.gate_lab.boundary import CALENDAR
    from ml_assets.core.metrics.estimates import units_of
    from ml_assets.core.metrics.score_columns import names
    from ml_assets.core.metrics.units import units

    time = product.features.time
    calendar = {unit: units(frame, unit=unit, time=time) for unit in ("row", *(CALENDAR if time else ()))}
    features = product.features
    scores = {name for role in MODELS for name in names(role, features.class_names)}
    known = {*features.key, features.time, features.label, *scores}
    stored = {name: frame[name].fill_null("(missing)") for name in frame.columns if name not in known | set(calendar)}
    return {name: units_of(values, rows=frame.height).codes for name, values in (calendar | stored).items()}


def _outcome(
    product: Product, evaluation: Manifest, boundaries: "Sequence[Boundary]", effects: "Sequence[DesignEffect]", **numbers: int
) -> dict[str, Any]:
    return {
        "product": product.name,
        "partition": evaluation.partition,
        "unit": product.gates.unit,
        **numbers,
        "claims": [
            {**vars(row), "share": row.share, "low": row.interval[0], "high": row.interval[1], "holds": row.holds}
            for row in boundaries
        ],
        "design_effects": [{**vars(row), "is_large": row.is_large} for row in effects],
    }


def _print(
    product: Product,
    evaluation: Manifest,
    boundaries: "Sequence[Boundary]",
    effects: "Sequence[DesignEffect]",
    wrong: "Sequence[DesignEffect]",
    *,
    units: int,
) -> None:
    unit = product.gates.unit
    click.echo(f"{product.name} {evaluation.partition}: windows of {units} units ({unit}), each claim at its pool value\n")
    header = ["CLAIM", "BOUNDARY", "LET THROUGH", "SHARE", "99 % INTERVAL", "LEVEL", "KEPT"]
    click.echo(columns([header, *map(_row, boundaries)]))
    click.echo("\nVariance by unit over that of independent rows:\n")
    names = list(dict.fromkeys(effect.unit for effect in effects))
    by_claim = {effect.claim: {e.unit: e.effect for e in effects if e.claim == effect.claim} for effect in effects}
    table = [[claim, *(f"{of[name]:.1f}" if name in of else "" for name in names)] for claim, of in by_claim.items()]
    click.echo(columns([["CLAIM", *names], *table]))
    if wrong:
        worst = max(wrong, key=lambda effect: effect.effect)
        click.echo(
            f"\nWRONG UNIT: {unit}s are not independent: by {worst.unit} the variance of {worst.claim} is {worst.effect:.1f} "
            f"times what they explain. Declare `unit: {worst.unit}` in {product.name}/product.yaml"
        )


def _row(boundary: "Boundary") -> list[str]:
    accepted = f"{boundary.accepted} of {boundary.samples}"
    numbers = [f"{boundary.constant:.5f}", accepted, _percent(boundary.share), _range(boundary), _percent(boundary.level)]
    return [boundary.claim, *numbers, "yes" if boundary.holds else "NO"]


def _range(boundary: "Boundary") -> str:
    low, high = boundary.interval
    return f"{_percent(low)} to {_percent(high)}"


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
