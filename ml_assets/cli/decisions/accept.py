"""`ml-assets accept`: say that a partition's content is right, although it looks implausible or set off an alarm."""

import json

import click

from ml_assets.cli.shared.completion import PRODUCT
from ml_assets.cli.shared.context import product_named, workspace
from ml_assets.cli.shared.person import decided_by
from ml_assets.core.release.identity import By


@click.command()
@click.argument("product", type=PRODUCT)
@click.argument("partition")
@decided_by()
@click.option("--reason", required=True, help="The reason why it is right; it is recorded.")
@click.option("--json", "as_json", is_flag=True, help="Print what was recorded as JSON.")
def command(product: str, partition: str, *, by: By, reason: str, as_json: bool) -> None:
    """Accept what was delivered for PARTITION of PRODUCT: it is no longer held back from training, and later partitions are
    compared with it. Other content of the same partition is checked again.

    Example: `ml-assets accept flights 2013-12 --reason "the strike was real"`.
    """
    from ml_assets.core.lineage.partitions import partitions_of
    from ml_assets.services.people.permission import require
    from resources.ledger.acceptances import accept, accepted
    from resources.lineage import NotMaterialized

    space = workspace()
    spec = product_named(product, space.settings)
    partitions_of(spec).require(partition)
    raw = space.ledger.current(product, "raw", partition)
    if raw is None:
        raise NotMaterialized(
            f"{product} {partition} was never read, so there is nothing to accept; "
            f"`ml-assets run {product} --partition {partition}` reads it"
        )
    require(space.ledger, spec, "accept", by)
    known = accepted(space.ledger, product).get(partition)
    entry = known or accept(space.ledger, raw, by=by, reason=reason)
    body = entry.body
    if as_json:
        click.echo(json.dumps({"product": product, "partition": partition, "by": body.by, "reason": body.reason, "at": entry.at}))
        return
    before = "was accepted already" if known else "is accepted"
    click.echo(f"{product} {partition} {before}, by {body.by}: {body.reason}")
    click.echo(f"`ml-assets run {product} --partition {partition}` takes it down the path")
