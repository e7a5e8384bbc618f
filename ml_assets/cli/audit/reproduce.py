"""`ml-assets reproduce`: rebuild a release from its delivered bytes, compare, and name what differs."""

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ml_assets.cli.shared.context import product_named, workspace
from ml_assets.cli.shared.references import release_named
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.lineage.facts import ReleaseFacts
from ml_assets.core.lineage.manifests import Manifest

if TYPE_CHECKING:
    from ml_assets.services.clean_rebuild import Rebuilder, Rebuilt

KEPT = {"raw": frozenset[str](), "features": frozenset({"raw", "reference", "dataset", "features"})}


@click.command()
@click.argument("release")
@click.option("--from", "start", type=click.Choice(list(KEPT)), default="raw", show_default=True, help="Rebuild from here on.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def command(release: str, start: str, as_json: bool) -> None:
    """Rebuild RELEASE with today's code, configuration and libraries from what its manifests name, and compare.

    Everything happens in a scratch home; store and ledger are only read. RELEASE is a name, digest or
    PRODUCT/release:PARTITION. Exit code 0: the same data, model and predictions; 1: something differs, or an error.
    """
    space = workspace()
    outcome = reproduce(space, release_named(space, release), start=start, quiet=as_json)
    if as_json:
        click.echo(json.dumps(outcome, indent=1))
    else:
        _print(outcome)
    sys.exit(0 if outcome["equal"] else 1)


def reproduce(space: Workspace, release: Manifest, *, start: str = "raw", quiet: bool = True) -> dict[str, Any]:
    """Rebuild and compare; the outcome as JSON values."""
    from ml_assets.services.clean_rebuild import Rebuilder, Stopped, compare_golden, compare_tested
    from resources.scratch_lineage import lineage_above

    product = product_named(release.recipe.product, space.settings)
    made_from = space.lineage.made_from(release)
    started = time.monotonic()
    compared: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="ml-assets-reproduce-", ignore_cleanup_errors=True) as folder:
        tell = _ReproduceProgress(quiet=quiet)
        builder = Rebuilder(space.lineage, lineage_above(space.snapshots, Path(folder)), space.dbt, product, KEPT[start], tell)
        try:
            tested = space.lineage.tested(made_from["evaluation"])
            builder.rebuild_stage_by_stage([made_from["model"], made_from["features"], *tested])
            compared["golden"] = compare_golden(builder, release)
            compared["tested"] = compare_tested(builder, made_from["evaluation"])
        except Stopped:
            pass
        tell.close()
        rebuilt = builder.in_order()
        first = next((rebuild for rebuild in rebuilt if not rebuild.is_equal), None)
        difference = _explained(builder, first) if first else None
        builder.scratch.ledger.close()
    equal = first is None and all(scores.is_equal for scores in compared.values()) and len(compared) == 2
    named = {"release": ReleaseFacts.of(release).release, "bundle": release.snapshot, "from": start, "equal": equal}
    predictions = {name: scores.to_dict() for name, scores in compared.items()}
    rows = {"stages": _rows(rebuilt), "predictions": predictions, "first": difference, "without_effect": _without_effect(rebuilt)}
    return {**named, **rows, "seconds": round(time.monotonic() - started, 1)}


class _ReproduceProgress:
    """Progress: the stages on one line, a dot for each partition."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet, self._stage = quiet, ""

    def __call__(self, stage: str, partition: str) -> None:
        if not self._quiet:
            click.echo("·" if stage == self._stage else f"{' ' if self._stage else ''}{stage} ·", nl=False)
            sys.stdout.flush()
            self._stage = stage

    def close(self) -> None:
        if not self._quiet:
            click.echo()


def _rows(rebuilt: "list[Rebuilt]") -> list[dict[str, Any]]:
    return [
        {
            "stage": rebuild.recorded.recipe.stage,
            "partition": rebuild.recorded.partition,
            "recorded": rebuild.recorded.data_version,
            "rebuilt": rebuild.now.data_version if rebuild.now else None,
            "equal": rebuild.is_equal,
        }
        for rebuild in rebuilt
    ]


def _explained(builder: "Rebuilder", first: "Rebuilt") -> dict[str, Any]:
    """The first thing that differs, and every input of it that does."""
    from ml_assets.core.lineage.differences import Difference, declared

    named = {"stage": first.recorded.recipe.stage, "partition": first.recorded.partition}
    if first.now is None:
        now = _recipe_now(builder, first)
        causes = [] if first.is_damaged else declared(first.recorded.recipe, now)
        causes = causes or [Difference("data", first.error or "")]
        return {**named, "error": first.error, "differs": [], "causes": [cause.to_dict() for cause in causes]}
    order, differs = _tables(builder, first.recorded, first.now)
    causes = [*order, *declared(first.recorded.recipe, first.now.recipe)]
    nothing = "nothing that is recorded differs: this stage does not make the same twice"
    causes = causes or [Difference("not deterministic", nothing)]
    return {**named, "error": None, "differs": differs, "causes": [cause.to_dict() for cause in causes]}


def _recipe_now(builder: "Rebuilder", first: "Rebuilt") -> Any:
    """The recipe of the stage, had its inputs come out as recorded."""
    then = first.recorded.recipe
    return builder.scratch.recipe(builder.product, then.stage, then.partition, then.inputs)


def _tables(builder: "Rebuilder", then: Manifest, now: Manifest) -> tuple[list[Any], list[str]]:
    """The differences between the tables of two snapshots: the same rows in another order, or other rows."""
    from ml_assets.core.lineage.differences import changed_rows, row_order

    old, new = builder.real.snapshots.open(then.snapshot).members, builder.scratch.snapshots.open(now.snapshot).members
    shared = [name for name in old if name.endswith(".parquet") and name in new and old[name] != new[name]]
    frames = {
        n: (builder.real.snapshots.frame(then.snapshot, n), builder.scratch.snapshots.frame(now.snapshot, n)) for n in shared
    }
    order = [cause for name, pair in frames.items() if (cause := row_order(name, *pair))]
    return order, [difference for name, pair in frames.items() if (difference := changed_rows(name, *pair))]


def _without_effect(rebuilt: "list[Rebuilt]") -> list[str]:
    """Declared differences that changed no content."""
    from ml_assets.core.lineage.differences import declared

    pairs = ((rebuild.recorded, rebuild.now) for rebuild in rebuilt if rebuild.is_equal and rebuild.now)
    differences = (
        f"{then.recipe.stage}: {c.kind}: {c.message}" for then, now in pairs for c in declared(then.recipe, now.recipe)
    )
    return list(dict.fromkeys(differences))


def _print(outcome: dict[str, Any]) -> None:
    click.echo("\n".join(_lines(outcome)))


def _lines(outcome: dict[str, Any]) -> Iterator[str]:
    by_stage: dict[str, list[bool]] = {}
    for row in outcome["stages"]:
        by_stage.setdefault(row["stage"], []).append(row["equal"])
    for stage, equal in by_stage.items():
        yield f"  {stage:<12}{sum(equal):>4} of {len(equal)} equal"
    for name, comparison in outcome["predictions"].items():
        apart = f", at most {comparison['largest']:.3g} apart" if comparison["largest"] is not None else ""
        note = f": {comparison['told']}" if comparison["told"] else ""
        yield f"  {name:<12}{comparison['rows'] - comparison['different']:>4} of {comparison['rows']} scores equal{apart}{note}"
    if outcome["without_effect"]:
        yield "changed since, without effect on the content:"
        yield from (f"  {note}" for note in outcome["without_effect"])
    if first := outcome["first"]:
        error = f": {first['error']}" if first["error"] else ""
        yield f"the first that differs is {first['stage']} {first['partition']}{error}"
        yield from (f"  {note}" for note in first["differs"])
        yield from (f"  {cause['kind']}: {cause['told']}" for cause in first["causes"])
    verdict = "reproduced" if outcome["equal"] else "NOT reproduced"
    yield f"{outcome['release']}: {verdict} from {outcome['from']} in {outcome['seconds']} s"
