"""`ml-assets override`: let a model through in spite of its verdict, by a named person's decision."""

import click

from ml_assets.cli.shared.completion import PRODUCT
from ml_assets.cli.shared.context import partition_named, product_named, workspace
from ml_assets.cli.shared.decisions import go_on
from ml_assets.cli.shared.person import decided_by
from ml_assets.core.release.identity import By


@click.command()
@click.argument("product", type=PRODUCT)
@click.option("--partition", "-p", required=True, help="The partition whose evaluation is overridden.")
@decided_by(is_named=True)
@click.option("--reason", required=True, help="The reason; it is recorded, and shown wherever the release is.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def command(product: str, partition: str, by: By, reason: str, as_json: bool) -> None:
    """Override the verdict on PRODUCT's candidate as of a partition, and run its path, so that it is released.

    It counts for exactly this model and evaluation, and for what the verdict lacks now. It does not fix a verdict about another
    model or champion, a recall, a damaged bundle or a failed smoke test. Such a release never becomes the anchor.
    """
    from ml_assets.services.release_status import overrule

    space = workspace()
    spec = product_named(product, space.settings)
    partition = partition_named(space, spec, partition)
    entry = overrule(space.lineage, spec, partition, by=by, reason=reason, via="cli")
    outcome = {"decision": "override", "partition": partition, "passed_over": list(entry.body.reasons)}
    outcome |= {"by": entry.body.by, "reason": entry.body.reason}
    message = f"{product} {partition}: overridden by {entry.body.by}: {'; '.join(entry.body.reasons)}"
    go_on(space, spec, partition, decision=outcome, message=message, as_json=as_json)
