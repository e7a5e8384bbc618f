"""`ml-assets gates`: what the gates of a product promise, and whether they keep it. Each command is a module of this package."""

import click

from ml_assets.cli import LazyGroup

COMMANDS = {
    "verify": "Judge a stored pair again at its very boundary, and show how often it is let through.",
    "mutate": "Sabotage models and data, and show which gate catches what.",
    "backtest": "Try a proposed gates block on the past.",
    "budget": "Show the looks at each test window, and how many are left.",
}


@click.group(cls=LazyGroup, folders={"gates": COMMANDS}, prefix="gates ")
def command() -> None:
    """Show what the gates of a product promise, and whether they keep it."""
