"""`ml-assets reopen`: test a candidate of a static table on its last fold again, by a named person's decision."""

import click

from ml_assets.cli.shared.completion import PRODUCT
from ml_assets.cli.shared.context import product_named, workspace
from ml_assets.cli.shared.decisions import go_on
from ml_assets.cli.shared.person import decided_by
from ml_assets.core.release.identity import By


@click.command()
@click.argument("product", type=PRODUCT)
@click.option("--partition", "-p", required=True, help="The newest delivery, which opens no fold of its own.")
@decided_by(is_named=True)
@click.option("--reason", required=True, help="The reason; it is recorded.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def command(product: str, partition: str, by: By, reason: str, as_json: bool) -> None:
    """Train on a delivery of PRODUCT, a static table without a fold left, and test on the last fold again.

    Rows that were looked at before prove nothing, so the verdict lets nothing through: what it shows is for a person, who may
    then say `ml-assets override`. New rows need no decision: they open a fold of their own.

    Example: `ml-assets reopen loans --partition 0006 --by ana --reason "prices changed, no new customers"`.
    """
    from ml_assets.services.folds import reopen

    space = workspace()
    spec = product_named(product, space.settings)
    body = reopen(space.ledger, spec, partition, by=by, reason=reason).body
    outcome = {"decision": "reopen", "partition": partition, "by": body.by, "reason": body.reason}
    message = f"{product} {partition}: the last fold is reopened by {body.by}: {body.reason}"
    go_on(space, spec, partition, decision=outcome, message=message, as_json=as_json)
