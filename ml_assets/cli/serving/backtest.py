"""`ml-assets backtest`: the stored past of a product through policies of retraining."""

import json
from pathlib import Path

import click

from ml_assets.cli.shared.completion import PRODUCT
from ml_assets.cli.shared.context import product_named, workspace
from ml_assets.cli.shared.tables import columns


@click.command()
@click.argument("product", type=PRODUCT)
@click.option("--policy", required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False), help="A file of policies.")
@click.option("--replicates", type=click.IntRange(min=1), default=3, show_default=True, help="Trainings on other subsamples.")
@click.option(
    "--schedules", type=click.IntRange(min=0), default=5, show_default=True, help="Random schedules for each replicate."
)
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Of the random schedules.")
@click.option("--json", "as_json", is_flag=True, help="Print all replicates as JSON.")
def command(product: str, policy: Path, *, replicates: int, schedules: int, seed: int, as_json: bool) -> None:
    """Play policies of retraining on the stored partitions of PRODUCT, next to its present one: trainings, those that the gates
    let through, CPU seconds, alarms, the metric on later partitions, days served by a model that was worse there than the newest
    one that could have been trained, value.

    FILE holds `policies: {monthly: {on: [schedule], every: 4}, by_loss: {on: [loss], max_drop: 0.03}}`; `on` takes new_partition,
    schedule, drift, loss, never. A model is fitted for each partition; nothing is recorded, charged or promoted. A candidate
    replaces the model that serves where the product's `gates:` accept it on its test window, when outcomes of that are complete
    (`labels.matures`). One run is noise: look at the spread of the replicates, and at the rows of random schedules with as many
    trainings.
    """
    from ml_assets.services.outcomes import played_policies as lab
    from ml_assets.services.outcomes.policy_files import policies_of, present_policy
    from ml_assets.services.watching.overview import watched

    space = workspace()
    spec = product_named(product, space.settings)
    policies = policies_of(policy, present_policy(spec))
    windows = lab.stored_partitions(space.lineage, spec)
    alarmed = {watch.partition for watch in watched(space.lineage, spec, space.settings) if watch.data.state == "alarm"}
    say = (lambda _: None) if as_json else (lambda words: click.echo(words, err=True))
    past = lab.pasts(windows, alarmed, replicates=replicates, say=say)
    rows = list(lab.compared(policies, past, schedules=schedules, seed=seed))
    if as_json:
        click.echo(json.dumps([lab.as_json(row) for row in rows], indent=1))
        return
    has_worth = spec.monitoring.value is not None
    lines = [lab.header(spec), *(lab.cells(row, has_worth=has_worth) for row in rows)]
    click.echo(columns(lines))
    click.echo(f"{len(past[0].keys)} partitions, {replicates} replicates; ± is half the range of the replicates.")
