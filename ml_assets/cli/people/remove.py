"""`ml-assets people remove`: take a person's keys away."""

import click

from resources.settings import settings


@click.command()
@click.argument("name")
@click.option("--id", "id", default="", help="The key to remove, as `people show` names it; all of NAME's if not given.")
def command(name: str, id: str) -> None:
    """Remove the keys of NAME. What was decided with them stays decided, as long as product.yaml names the person."""
    from ml_assets.services.people.keys import remove

    file = settings().people_keys
    for key in remove(file, name, id):
        click.echo(f"key {key.id} of {key.owner} is removed from {file}")
