"""`ml-assets experiment`: a change tried at the keyboard, on retired windows, and logged to MLflow."""

import sys
from pathlib import Path

import click

from ml_assets.cli.shared.completion import PRODUCT
from ml_assets.cli.shared.context import product_named, workspace


@click.command()
@click.argument("product", type=PRODUCT)
@click.option("--set", "-s", "assignments", multiple=True, metavar="KEY=VALUE", help="Set a key of product.yaml: model.depth=6.")
@click.option("--base", metavar="REF", default="HEAD", show_default=True, help="The commit to compare with.")
@click.option("--output", "-o", type=click.Path(path_type=Path, file_okay=False), help="Write report.md and plots here too.")
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON.")
@click.option("--no-log", is_flag=True, help="Log no run to MLflow.")
def command(*, product: str, assignments: tuple[str, ...], base: str, output: Path | None, as_json: bool, no_log: bool) -> None:
    """Try PRODUCT as the work tree and --set say, against a commit, on past windows that are retired.

    It is free, as often as you like, and promises nothing: no look is charged, no release is made. Nothing is written to
    product.yaml. Exit code 1 where it cannot be trained and scored.
    """
    import msgspec

    from ml_assets.core.changes.experiment_page import page
    from ml_assets.services.review.experiment import experiment, logged
    from ml_assets.services.review.report_folder import make
    from resources.git_trees import Repository

    space = workspace()
    spec = product_named(product, space.settings)
    repository = Repository.around(spec.folder)
    tried = experiment(repository, space.settings, spec, assignments, ref=base, say=lambda words: click.echo(words, err=True))
    report = page(tried.comparison, tried.changes, tried.base)
    shown = page(tried.comparison, tried.changes, tried.base, has_pictures=False)
    click.echo(msgspec.json.format(msgspec.json.encode(tried.comparison)).decode() if as_json else shown)
    if output is not None:
        make(output)
        for name, content in {"report.md": report.encode(), **tried.pictures}.items():
            (output / name).write_bytes(content)
    if tried.comparison.judged is None:
        sys.exit(tried.comparison.outcome == "REJECT")
    if not no_log:
        name = " ".join(assignments) or f"work tree against {base}"
        run = space.tracking.log_run(f"{product}-development", name, logged(tried, spec, assignments, report))
        click.echo(f"logged as {run} to {space.settings.mlflow_ui}", err=True)
