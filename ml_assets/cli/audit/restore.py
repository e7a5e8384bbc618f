"""`ml-assets restore`: go on from an older copy of the ledger, by a named person's decision."""

import json

import click

from ml_assets.cli.shared.context import workspace
from ml_assets.cli.shared.person import decided_by
from ml_assets.core.release.identity import By
from ml_assets.spec.product import load_all
from resources.ledger.restoration import restore


@click.command()
@decided_by(is_named=True)
@click.option("--reason", required=True, help="The reason; it is recorded.")
@click.option("--json", "as_json", is_flag=True, help="Print what was recorded as JSON.")
def command(by: By, reason: str, *, as_json: bool) -> None:
    """Go on from an older copy of the ledger, where the newer one is lost, and record it.

    Until then nothing can be appended to a ledger that lacks the newest entry that this home remembers. Nothing is refunded:
    every test window up to the newest delivered partition counts as used up, since it may have been asked in what was lost.
    Promotions, approvals and recalls that were lost have to be made again. Each home that remembers more is restored by itself.
    """
    from ml_assets.services.people.permission import require

    space = workspace()
    names = sorted(load_all(space.settings.products).items())
    for _, product in names:
        require(None, product, "restore", by)  # nothing can be recorded before
    known = {name: [*space.landing.delivered(product), *space.ledger.partitions(name, "raw")] for name, product in names}
    record = restore(space.ledger, {name: max(keys) for name, keys in known.items() if keys}, by=by, reason=reason)
    if as_json:
        body = record.body
        payload = {"entry": record.seq, "lost": body.lost, "kept": body.kept, "closed": dict(body.closed), "by": body.by}
        click.echo(json.dumps(payload))
        return
    click.echo(
        f"entry {record.seq} records it: what came after entry {record.body.kept} is lost, up to {record.body.lost} or later"
    )
    for name, newest in record.body.closed.items():
        click.echo(f"{name}: every test window up to {newest} counts as used up; the next partition opens a new one")
