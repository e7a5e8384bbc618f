"""`ml-assets report`: the evaluation of a partition as Markdown with plots, for a job summary or a pull request."""

from pathlib import Path

import click

from ml_assets.cli.common import product_named, workspace
from ml_assets.core.manifests import Manifest
from resources.workspace import Workspace


@click.command()
@click.argument("product")
@click.option("--partition", "-p", help="Partition key; the newest evaluated one if not given.")
@click.option("--output", "-o", type=click.Path(path_type=Path, file_okay=False), default=Path("report"), show_default=True)
def command(product: str, partition: str | None, output: Path) -> None:
    """Write report.md, its plots and Evidently's report.html of PRODUCT's evaluation into a folder."""
    space = workspace()
    spec = product_named(product, space.settings)
    evaluated = space.ledger.partitions(product, "evaluation")
    evaluation = space.lineage.current(spec, "evaluation", partition or (evaluated[-1] if evaluated else ""))
    output.mkdir(parents=True, exist_ok=True)
    plots = _write_members(space, evaluation, output)
    (output / "report.md").write_text(markdown(space, evaluation, plots))
    click.echo(output / "report.md")


def markdown(space: Workspace, evaluation: Manifest, plots: list[str]) -> str:
    """Verdict, reasons, claims, metrics by slice, and the plots by relative path."""
    facts, verdict = evaluation.facts, evaluation.facts["verdict"]
    champion = facts["champion"]["release"] if facts["champion"] else "none: a first release"
    summary = space.snapshots.read(evaluation.snapshot, "summary.md").decode()
    reasons = "".join(f"\n- {reason}" for reason in verdict["reasons"])
    parts = [
        f"## {evaluation.recipe.product} {evaluation.partition}: {verdict['decision']}{reasons}",
        f"Candidate `{facts['candidate'][:12]}`, champion: {champion}, tested on {', '.join(facts['tested'])}.",
        _claims(verdict["claims"]),
        summary,
        "\n".join(f"![{Path(plot).stem.replace('_', ' ')}](./{plot})" for plot in plots),
        f"Lineage: `ml-assets lineage {evaluation.id[:12]}`",
    ]
    return "\n\n".join(parts) + "\n"


def _claims(claims: list[dict[str, object]]) -> str:
    marks = {True: "pass", False: "**fail**", None: "does not apply"}
    rows = [f"| {c['name']} | {marks[c['passed']]} | {c['message']} |" for c in claims]  # type: ignore[index]
    return "\n".join(["| claim | | |", "| --- | --- | --- |", *rows])


def _write_members(space: Workspace, evaluation: Manifest, output: Path) -> list[str]:
    """Copy report.html and the plots into the folder; the plots' names."""
    snapshot = space.snapshots.open(evaluation.snapshot)
    (output / "report.html").write_bytes(space.snapshots.read(evaluation.snapshot, "report.html"))
    names = sorted(name for name in snapshot.members if name.startswith("plots/"))
    for name in names:
        (output / Path(name).name).write_bytes(space.snapshots.read(evaluation.snapshot, name))
    return [Path(name).name for name in names]
