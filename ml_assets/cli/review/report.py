"""`ml-assets report`: the evaluation of a partition as Markdown with plots, for a job summary or a pull request."""

import json
from pathlib import Path

import click

from ml_assets.cli.shared.completion import PRODUCT
from ml_assets.cli.shared.context import partition_named, product_named, workspace
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.lineage.manifests import Manifest

PAGE = "report.html"


@click.command()
@click.argument("product", type=PRODUCT)
@click.option("--partition", "-p", help="Partition key; the newest evaluated one if not given.")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("report"),
    show_default=True,
    help="The folder to write into; created if it does not exist.",
)
def command(product: str, partition: str | None, output: Path) -> None:
    """Write the evaluation of PRODUCT for review into a folder: report.md, its plots, and Evidently's report.html.

    The verdict comes first, with its reasons; then claims, metrics with intervals, slices and plots. Above it is said where other
    code, configuration or libraries would evaluate now. Exit code 0 whatever the verdict: `ml-assets check` is what fails.
    """
    from ml_assets.core.evaluation.markdown_report import Context, review
    from ml_assets.services.judging.gate_standards import gate_breaches
    from ml_assets.services.judging.kept_candidate_text import kept_asked, kept_next
    from ml_assets.services.judging.unasked_candidate import unasked
    from ml_assets.services.judging.verdict_evidence import changes_since_champion, earlier_looks
    from ml_assets.services.review.report_folder import make
    from ml_assets.services.stale_evaluations import not_charged, stale_evaluations

    space = workspace()
    spec = product_named(product, space.settings)
    evaluated = space.ledger.partitions(product, "evaluation")
    if not partition and not evaluated:
        raise click.ClickException(f"{product}: nothing is evaluated yet; `ml-assets run {product}` runs the path")
    key = partition_named(space, spec, partition) if partition else evaluated[-1]
    evaluation = space.lineage.current(spec, "evaluation", key)
    measured = json.loads(space.snapshots.read(evaluation.snapshot, "metrics.json"))
    make(output)
    plots = _write_members(space, evaluation, output)
    stale = stale_evaluations(space.lineage, spec).get(evaluation.partition)
    uncharged = not_charged(space.lineage, spec, evaluation)
    warnings = (stale.markdown if stale else "") + (f"> **{uncharged}**\n\n" if uncharged else "")
    following = kept_next(space.lineage, spec) if evaluation.partition == evaluated[-1] else ""
    context = Context(
        earlier_looks=earlier_looks(space.lineage, spec, evaluation),
        changes=changes_since_champion(space.lineage, evaluation),
        kept=[*kept_asked(space.lineage, spec, evaluation), *([following] if following else [])],
        standards=gate_breaches(space.ledger, spec),
        unasked=unasked(space.lineage, spec, evaluation.partition),
    )
    page = warnings + review(evaluation, measured, plots, context)
    (output / "report.md").write_text(page, encoding="utf-8")
    if stale:
        click.echo(f"{product} {evaluation.partition}: {stale.message}", err=True)
    if uncharged:
        click.echo(f"{product} {evaluation.partition}: {uncharged}", err=True)
    click.echo(output / "report.md")


def _write_members(space: Workspace, evaluation: Manifest, output: Path) -> list[str]:
    """Copy Evidently's page and the pictures into the folder; the pictures' names. An evaluation of an earlier version holds them
    itself; some have none."""
    sources = dict.fromkeys(space.snapshots.open(evaluation.snapshot).members, evaluation)
    report = space.ledger.current(evaluation.recipe.product, "report", evaluation.partition)
    if report is not None and evaluation.id in {given.manifest for given in report.recipe.inputs}:
        sources |= dict.fromkeys(space.snapshots.open(report.snapshot).members, report)
    names = sorted(name for name in sources if name.startswith("plots/") or name == PAGE)
    for name in names:
        (output / Path(name).name).write_bytes(space.snapshots.read(sources[name].snapshot, name))
    return [Path(name).name for name in names if name != PAGE]
