"""`ml-assets gates mutate`: sabotage on stored data, and which gate caught it."""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ml_assets.cli.shared.completion import PRODUCT
from ml_assets.cli.shared.context import product_named, workspace
from ml_assets.cli.shared.counter import Counter, counter
from ml_assets.core.lineage.facts import EvaluationFacts

if TYPE_CHECKING:
    from ml_assets.core.gate_lab.mutants import Mutation
    from ml_assets.services.gate_lab.subject import MutationSubject

WIDE = 150


@click.command()
@click.argument("product", type=PRODUCT)
@click.option("--partition", "-p", help="Partition whose evaluation is sabotaged; the newest one with a champion if not given.")
@click.option("--policy", type=click.Path(path_type=Path, dir_okay=False), help="A file with a `gates:` block to try instead.")
@click.option("--only", multiple=True, metavar="NAME", help="Only this mutant, or `A/A`; may be given several times.")
@click.option("--draws", default=24, show_default=True, help="A/A windows drawn again from the units of the window.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
@click.option("--keep", is_flag=True, help="Keep the scratch folder, and say where it is.")
def command(
    *, product: str, partition: str | None, policy: Path | None, only: tuple[str, ...], draws: int, as_json: bool, keep: bool
) -> None:
    """Sabotage a stored evaluation of PRODUCT in every known way, and see which gate catches it.

    Models and scores are judged in memory as candidates against the stored champion and anchor: no look is charged and nothing
    is recorded. Data goes through the contract's audit, evidence through what release and endpoint ask; what has to be
    written is written to a scratch folder. A gate counts only if it lets the release that serves now through, against itself.

    Exit code 1 when a mutant is let through: a finding, with the gate to add. A model that is proven to be worse by less than the
    declared margin is rightly let through. A/A pairs, of one recipe with different seeds, show how often each claim blocks
    for nothing; they change no exit code.
    """
    from ml_assets.services.gate_lab.stored_comparisons import case_of, under
    from ml_assets.services.gate_lab.subject import MutationSubject

    space = workspace()
    spec = under(product_named(product, space.settings), policy)
    _refuse_unknown(only)
    begun = time.monotonic()
    with _scratch(keep) as folder:
        on = MutationSubject(case_of(space.lineage, spec, partition), folder)
        if not as_json:
            click.echo("\n".join(_heading(on)))
        mutations = []
        with counter(as_json=as_json) as tell:
            for mutation in _mutated(on, only, tell):
                mutations.append(mutation)
                if not as_json:
                    tell("")
                    click.echo(_line(mutation))
            pairs = _pairs(on, draws, tell) if not only or "A/A" in only else []
        findings = [mutation for mutation in mutations if mutation.is_finding]
        outcome: dict[str, Any] = {"product": product, "partition": on.case.partition, "control": on.control.decision}
    if as_json:
        outcome |= {
            "mutants": [mutation.to_dict() for mutation in mutations],
            "pairs": pairs,
            "findings": [mutation.mutant for mutation in findings],
        }
        click.echo(json.dumps({**outcome, "seconds": round(time.monotonic() - begun, 1)}, indent=1))
    else:
        click.echo("\n".join(_summary(mutations, pairs)))
        click.echo(
            f"{product} {on.case.partition}: {len(mutations)} mutants, {len(findings)} findings, {time.monotonic() - begun:.0f} s"
        )
    sys.exit(1 if findings else 0)


def mutants() -> "dict[str, Callable[[MutationSubject], Mutation]]":
    """Every mutant by name."""
    from ml_assets.services.gate_lab import leak_mutants, lock_mutants, model_mutants, window_mutants

    return {**model_mutants.MUTANTS, **leak_mutants.MUTANTS, **window_mutants.MUTANTS, **lock_mutants.MUTANTS}


def _refuse_unknown(only: tuple[str, ...]) -> None:
    from ml_assets.spec.yaml_file import unknown_name

    known = [*mutants(), "A/A"]
    for name in only:
        if name not in known:
            raise click.BadParameter(f"there is no mutant '{name}'; {unknown_name(name, allowed=known)}", param_hint="--only")


@contextmanager
def _scratch(keep: bool) -> Iterator[Path]:
    if keep:
        folder = Path(tempfile.mkdtemp(prefix="ml-assets-mutate-"))
        click.echo(f"scratch: {folder}", err=True)
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="ml-assets-mutate-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def _mutated(on: "MutationSubject", only: tuple[str, ...], tell: Counter) -> "Iterator[Mutation]":
    wanted = {name: make for name, make in mutants().items() if not only or name in only}
    for number, (name, make) in enumerate(wanted.items(), 1):
        tell(f"mutant {number} of {len(wanted)}: {name}")
        begun = time.monotonic()
        mutation = make(on)
        yield replace(mutation, seconds=time.monotonic() - begun)


def _pairs(on: "MutationSubject", draws: int, tell: Counter) -> list[dict[str, Any]]:
    from ml_assets.services.gate_lab.aa_pairs import seeds, tally

    if "champion" not in on.baselines:
        return []
    tell("A/A: fitting the recipe with other seeds")
    return tally(on, seeds(on, count=3), draws=draws, tell=tell).rows()


def _heading(on: "MutationSubject") -> Iterator[str]:
    gates = on.product.gates
    champion = EvaluationFacts.of(on.case.evaluation).champion
    against = champion.release if champion else "no champion: a first release"
    yield f"{on.product.name} {on.case.partition}: sabotage against {against}"
    yield f"judged in memory, by {len(gates.claims)} claims on {gates.unit}s; no look is charged, nothing is recorded"
    if not on.control.is_accept:
        yield f"the release that serves, against itself, is {on.control.decision}; what stops it tells no mutant apart:"
        yield from (f"  {reason}" for reason in on.control.reasons)
    yield ""
    yield f"{'mutant':<25}{'caught by':<40}{'s':>5}  first reason"


def _line(mutation: "Mutation") -> str:
    by = ", ".join(dict.fromkeys(catch.by for catch in mutation.catches))
    by = by if len(by) <= 38 else f"{by[:37]}…"
    shown = by if mutation.fate == "caught" else mutation.fate.upper() if mutation.is_finding else f"({mutation.fate})"
    line = f"{mutation.mutant:<25}{shown:<40}{mutation.seconds:>5.1f}  {mutation.reason}"
    return line if len(line) <= WIDE else f"{line[: WIDE - 1]}…"


def _summary(mutations: "list[Mutation]", pairs: list[dict[str, Any]]) -> Iterator[str]:
    if pairs:
        yield ""
        yield f"A/A: {pairs[0]['pairs']} pairs of one recipe with different seeds, on the window and on its units drawn again"
        yield f"{'claim':<25}{'failed':>8}{'undecided':>11}{'blocked':>9}  95 % interval"
        for row in pairs:
            interval = f"{100 * row['low']:.0f} to {100 * row['high']:.0f} %"
            yield f"{row['claim']:<25}{row['failed']:>8}{row['undecided']:>11}{100 * row['blocked']:>7.0f} %  {interval}"
    yield ""
    for mutation in mutations:
        if mutation.is_finding:
            yield f"FINDING {mutation.mutant}: {mutation.about}: {mutation.message}; {mutation.advice}"
