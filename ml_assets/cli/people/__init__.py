"""`ml-assets people`: the keys that people are known by, and what each may decide. Each command is a module of this package."""

import click

from ml_assets.cli import LazyGroup

COMMANDS = {
    "add": "Make a key for a person, which is printed once.",
    "show": "Show whose keys there are, and what each person may decide.",
    "remove": "Remove the keys of a person, or one of them.",
}


@click.group(cls=LazyGroup, folders={"people": COMMANDS}, prefix="people ")
def command() -> None:
    """Make, show and remove the keys that people are known by when they decide; `people:` in product.yaml says who may decide."""
