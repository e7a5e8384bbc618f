"""`ml-assets tune`: a search of the model's parameters, and what is better as a patch of product.yaml."""

import json
import math
from pathlib import Path

import click

from ml_assets.cli.shared.completion import PRODUCT
from ml_assets.cli.shared.context import checked_product, workspace


@click.command()
@click.argument("product", type=PRODUCT)
@click.option("--trials", type=click.IntRange(min=1), help="Models' parameters to try; by default tune.trials of product.yaml.")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="Stop the search after as many minutes.")
@click.option(
    "--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="The patch's file; by default tune-PRODUCT.patch."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--no-log", is_flag=True, help="Log no run to MLflow.")
def command(*, product: str, trials: int | None, minutes: float | None, output: Path | None, as_json: bool, no_log: bool) -> None:
    """Search parameters of PRODUCT's model, by Optuna over `tune.space` of product.yaml, on past windows that are retired.

    The newest of these windows are held apart; what is better there beyond noise is written as a patch of product.yaml, for a
    pull request, and nothing else is. No look is charged and no release is made. Stop it when you like: the same command goes on.

    Example: `ml-assets tune flights --trials 20 --minutes 10`.
    """
    from ml_assets.services.tuning.outcome import logged, record
    from ml_assets.services.tuning.search import Search

    space = workspace()
    spec = checked_product(product, space.settings)
    budget = {name: value for name, value in (("trials", trials), ("minutes", minutes)) if value is not None}
    spec = spec.model_copy(update={"tune": spec.tune.model_copy(update=budget)})
    search = Search(space.lineage, spec, space.settings.home / "tune", say=lambda words: click.echo(words, err=True))
    try:
        tuned = search.run()
    except KeyboardInterrupt:
        raise click.ClickException("stopped; the trials are kept, and the same command goes on from them") from None
    patch = output or Path(f"tune-{product}.patch")
    if tuned.patch:
        patch.parent.mkdir(parents=True, exist_ok=True)
        patch.write_text(tuned.patch, encoding="utf-8")
    if as_json:
        click.echo(json.dumps(record(tuned), indent=1))
    else:
        click.echo(f"best of {sum(not math.isnan(t.value) for t in tuned.trials)} trials: {tuned.best}")
        click.echo(tuned.sentence)
        for sentence in tuned.at_edge:
            click.echo(sentence)
        if tuned.patch:
            click.echo(f"\n{tuned.patch}\nwritten to {patch}; apply it, and try it as a change:")
            click.echo(f"  git -C {tuned.root} apply {patch.resolve()}\n  ml-assets experiment {product}")
        else:
            click.echo("no patch is written; product.yaml stays as it is")
    if not no_log:
        run = space.tracking.log_run(f"{product}-development", "tune", logged(tuned))
        click.echo(f"logged as {run} to {space.settings.mlflow_ui}", err=True)
