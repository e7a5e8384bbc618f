"""`ml-assets people show`: whose keys there are, and what each person may decide."""

import json
from typing import get_args

import click

from ml_assets.cli.shared.tables import columns
from ml_assets.spec.people import Act
from ml_assets.spec.product import load_all
from resources.settings import settings


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def command(as_json: bool) -> None:
    """Show the keys of people with their last days, and who may decide what about each product that declares `people:`."""
    from ml_assets.services.people.keys import known

    current = settings()
    file = current.people_keys
    keys = [{"person": key.owner, "key": key.id, "until": str(key.until), "expired": bool(key.expired)} for key in known(file)]
    declared = {
        name: {act: list(getattr(product.people, act)) for act in get_args(Act)}
        for name, product in load_all(current.products).items()
        if product.people is not None
    }
    if as_json:
        click.echo(json.dumps({"file": str(file), "keys": keys, "products": declared}, indent=1))
        return
    rows = [[str(key["person"]), str(key["key"]), f"{key['until']}{' (expired)' if key['expired'] else ''}"] for key in keys]
    none = f"{file} has no keys; `ml-assets people add NAME` makes one"
    click.echo(columns([["person", "key", "last day"], *rows]) if rows else none)
    for name, acts in declared.items():
        click.echo(f"\n{name}:")
        for act, people in acts.items():
            click.echo(f"  {act:<9} {', '.join(people) or 'nobody'}")
    if not declared:
        click.echo("\nno product declares people: whoever can run a command may decide")
