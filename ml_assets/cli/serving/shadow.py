"""`ml-assets shadow`: the release on trial next to the one that serves, as a shadow or a canary, and what is known about it."""

import json

import click
import msgspec

from ml_assets.cli.shared.completion import PRODUCT
from ml_assets.cli.shared.context import product_named, workspace
from ml_assets.cli.shared.person import decided_by
from ml_assets.core.release.identity import By, name_of


@click.command()
@click.argument("product", type=PRODUCT)
@click.option("--stop", "is_stopped", is_flag=True, help="End it: the release is not promoted by itself.")
@click.option("--reason", default="", help="The reason for the end; it is recorded.")
@decided_by()
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def command(product: str, is_stopped: bool, reason: str, by: By, as_json: bool) -> None:
    """Show the release in the shadow of PRODUCT's production endpoint, or its canary, and the bounds of its harm. Looking costs
    nothing: the bounds hold however often somebody looks."""
    from ml_assets.services import shadow_trials as shadowing
    from ml_assets.services.people.permission import require
    from resources.endpoints import shadows
    from resources.ledger.decisions import signed

    space = workspace()
    spec = product_named(product, space.settings)
    running = shadows.running(space.ledger, product)
    if running is None:
        nothing = f"{product}: no release is on trial, neither as a shadow nor as a canary"
        if is_stopped:
            raise shadows.ShadowRefused(f"{nothing}; `ml-assets status {product}` shows what serves")
        click.echo(json.dumps({"release": None}) if as_json else nothing)
        return
    judgement = shadowing.judged_now(space.lineage, space.settings, spec, running)
    outcome = {"release": running.body.release, "since": running.at, "share": running.body.share}
    outcome |= {"terms": msgspec.to_builtins(running.body.terms), "found": judgement.evidence}
    if is_stopped:
        who, why = signed(by, reason, what="stop")
        require(space.ledger, spec, "shadow", by)
        outcome["server"] = shadowing.stop(space.lineage, space.endpoints, space.settings, spec, running, by=who, reason=why)
    if as_json:
        click.echo(json.dumps({**outcome, "stopped": is_stopped}, indent=1))
    else:
        ended = f"; ended by {name_of(by)}" if is_stopped else ""
        click.echo(
            f"{product}: {running.body.release} is {shadows.place(running)} since {running.at[:16]}{ended}; {judgement.sentence}"
        )
