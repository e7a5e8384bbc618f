"""`ml-assets gates backtest`: the past under a gates block, with planted truths, and what is wrong with the block."""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ml_assets.cli.shared.completion import PRODUCT
from ml_assets.cli.shared.context import product_named, workspace
from ml_assets.cli.shared.counter import counter

if TYPE_CHECKING:
    from ml_assets.core.gate_lab.diagnoses import Diagnosis, Leak
    from ml_assets.core.gates.claims import ClaimResult
    from ml_assets.services.gate_lab.past_walk import WalkedPartition
    from ml_assets.services.gate_lab.planted_truths import Planted


@click.command()
@click.argument("product", type=PRODUCT)
@click.option(
    "--policy", type=click.Path(path_type=Path, dir_okay=False), help="A file with a `gates:` block; else the product's."
)
@click.option("--windows", default=120, show_default=True, help="Windows drawn from the past for each margin.")
@click.option("--seed", type=click.IntRange(min=0), default=20130101, show_default=True, help="The seed of these windows.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def command(*, product: str, policy: Path | None, windows: int, seed: int, as_json: bool) -> None:
    """Take every stored evaluation of PRODUCT through a gates block, in order, and say what is wrong with the block.

    Candidates are judged on stored scores against the champion and anchor that the block's own verdicts would have made; nothing
    is retrained for that, charged or recorded. Then planted candidates, whose worth is known, take the place of the real ones;
    the same by `unit: row` is shown next to it.

    Exit code 1 when a diagnosis is an error: VACUOUS (the block), COIN-FLIP, UNDER-POWERED, LEAKY MARGIN, CREEP of the
    first metric, WRONG UNIT where it is certain, BUDGET where nothing could pass, ALWAYS FIRED where a claim stops the release
    that serves too. The others are warnings: VACUOUS of one claim, NEVER FIRED, SEED-SIZED MARGIN.
    """
    from ml_assets.core.gate_lab.diagnoses import diagnose
    from ml_assets.services.gate_lab.past_findings import past
    from ml_assets.services.gate_lab.past_leaks import leaks
    from ml_assets.services.gate_lab.past_walk import walk
    from ml_assets.services.gate_lab.planted_truths import planted
    from ml_assets.services.gate_lab.stored_comparisons import cases, under

    begun = time.monotonic()
    space = workspace()
    spec = under(product_named(product, space.settings), policy)
    with counter(as_json=as_json) as tell:
        steps = []
        for step in walk(cases(space.lineage, spec)):
            steps.append(step)
            tell(f"{step.case.partition} judged")
        plants, leaking = planted(steps, tell=tell), leaks(steps, windows=windows, seed=seed, tell=tell)
    diagnoses = diagnose(past(steps, plants, leaking))
    errors = [diagnosis for diagnosis in diagnoses if diagnosis.is_error]
    spent = round(time.monotonic() - begun, 1)
    if as_json:
        rows = {"partitions": [step.to_dict() for step in steps], "planted": _planted_rows(plants, leaking)}
        outcome: dict[str, Any] = {"product": product, **rows, "diagnoses": [diagnosis.to_dict() for diagnosis in diagnoses]}
        click.echo(json.dumps({**outcome, "errors": len(errors), "seconds": spent}, indent=1))
    else:
        click.echo("\n".join(_lines(steps, _planted_rows(plants, leaking), diagnoses)))
        click.echo(
            f"{product}: {len(steps)} partitions, {len(errors)} errors, {len(diagnoses) - len(errors)} warnings, {spent:.0f} s"
        )
    sys.exit(1 if errors else 0)


def _planted_rows(plants: "Sequence[Planted]", leaks: "Sequence[Leak]") -> list[dict[str, Any]]:
    """The rate at which each planted candidate was let through: by the whole block per partition, then per margin on drawn
    windows."""
    rows: list[dict[str, Any]] = [
        {
            "planted": plant.name,
            "truth": plant.truth,
            "tries": len(plant.verdicts),
            "accepted": sum(verdict.is_accept for verdict in plant.verdicts),
            "accepted_by_row": sum(verdict.is_accept for verdict in plant.by_row),
        }
        for plant in plants
    ]
    return rows + [
        {
            "planted": f"past {leak.claim}",
            "truth": f"worse by {leak.harm:.3g}, whole units at a time; that claim alone",
            "tries": leak.tries,
            "accepted": leak.hits,
            "accepted_by_row": leak.hits_by_row,
        }
        for leak in leaks
    ]


def _lines(steps: "Sequence[WalkedPartition]", planted: list[dict[str, Any]], diagnoses: "Sequence[Diagnosis]") -> Iterator[str]:
    gates = steps[0].case.product.gates
    budget = f"alpha {gates.budget.alpha:g}, {gates.budget.looks} looks, {gates.budget.ships} ships"
    yield f"unit {gates.unit}, {budget}: level {100 * steps[0].verdict.level:.3g} % a look; nothing is charged or recorded"
    for step in steps:
        yield ""
        yield _heading(step)
        yield from (f"  {_claim_line(claim)}" for claim in step.verdict.claims)
        if not step.verdict.claims:
            yield from (f"  {reason}" for reason in step.verdict.reasons)
    if planted:
        yield ""
        yield f"{'planted candidate':<26}{'by ' + gates.unit:>14}{'by row':>14}  truth"
        for row in planted:
            by_unit, by_row = (f"{row[name]} of {row['tries']}" for name in ("accepted", "accepted_by_row"))
            yield f"{row['planted']:<26}{by_unit:>14}{by_row:>14}  {row['truth']}"
    yield ""
    for diagnosis in diagnoses:
        yield f"{'ERROR  ' if diagnosis.is_error else 'warning'} {diagnosis.code:<18}{diagnosis.claim}: {diagnosis.message}"
    if not diagnoses:
        yield "nothing is wrong with the block that the past shows"


def _heading(step: "WalkedPartition") -> str:
    row = step.to_dict()
    served = f"{step.champion.partition} served" if step.champion else "no release served"
    if step.serving_metric is not None:
        served += f" ({step.case.product.gates.metric} {step.serving_metric:.4f})"
    anchor = f", anchor {step.anchor.partition}" if step.anchor else ""
    return f"{step.case.partition} {step.verdict.decision}: {served}{anchor}; then {row['answers'] or 'no release'} serves"


def _claim_line(claim: "ClaimResult") -> str:
    from ml_assets.core.gates.results import result_in_words

    name = f"{claim.name:<20} {result_in_words(claim)}"
    if claim.outcome != "PASS":
        return f"{name}: {claim.message}"
    return f"{name} {claim.estimate:.4f} [{claim.low:.4f}, {claim.high:.4f}] {claim.sign} {claim.limit:g}"
