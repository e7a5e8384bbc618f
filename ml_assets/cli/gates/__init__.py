"""`ml-assets gates`: what the gates of a product promise, and whether they keep it. Each command is a module of this package."""

import click

from ml_assets.cli import LazyGroup

COMMANDS = {
    "verify": "Judge a stored pair again at its very boundary, and show how often it is let through.",
    "bite": "Sabotage models and data, and show which gate catches what.",
    "backtest": "Hold the past against a proposed gates block.",
    "budget": "Show what each test window was asked, and what it may be asked still.",
}


@click.group(cls=LazyGroup, folders={"gates": COMMANDS})
def command() -> None:
    """What the gates of a product promise, and whether they keep it."""
