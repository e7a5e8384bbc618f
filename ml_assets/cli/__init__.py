"""`ml-assets`: the commands. Each is imported when it is called, so that a quick one stays quick."""

import importlib
import os
import sys
from collections.abc import Mapping
from typing import Any

import click

from ml_assets.errors import MlAssetsError
from resources.environment import pin
from resources.settings import settings

COMMANDS = {
    "deliver": "Put a delivered file into the landing folder, whole or not at all.",
    "run": "Run the whole path for a partition.",
    "check": "Run the asset checks alone; exit code 1 when one of severity ERROR fails.",
    "status": "Show what stands for each partition and who answers.",
    "serve": "Serve a product's release over HTTP.",
    "lineage": "Show what made a release, model, partition or prediction.",
    "explain": "Show why a prediction is what it is: features, contributions, release.",
    "impact": "Show what used a partition, a table or a delivered file, and what answers because of it.",
    "verify": "Check that no byte of the store or the ledger is missing, changed or added.",
    "card": "Print the model card of a release.",
    "approve": "Let a release that waits for a person answer.",
    "refuse": "Keep a release that waits for a person from answering, for good.",
    "override": "Let a model through in spite of its verdict, by a named person's decision.",
    "rollback": "Let an earlier release answer again.",
    "shadow": "Show the release that is tried beside the one that answers, in its shadow or as a canary, or end that.",
    "recall": "Declare a partition or release bad, and act on all that used it.",
    "reproduce": "Rebuild a release from its delivered bytes, and compare.",
    "export": "Export lineage to other tools, or the ledger for an audit.",
    "erase": "Erase the body of one ledger entry, so that the chain still verifies.",
    "plan": "Show what would run now, and why.",
    "schema": "Print the JSON Schema of product.yaml, for editors.",
    "gates": "Prove what the gates of a product promise, and show their budget.",
    "ci": "Show what a change does to data, models and gates, and refuse what asks less without saying so.",
    "report": "Write the evaluation report of a partition as Markdown, with plots.",
    "demo": "Replay a year of New York flights down the whole path.",
    "dev": "Start Dagster, MLflow and the endpoints together.",
}
PLACES = {"ci": "review.ci"}
"""Commands whose module lies in a folder."""


class LazyGroup(click.Group):
    """A group whose commands live in modules of their own names: `table` is {name: help}, `prefix` begins a module's name."""

    def __init__(self, *args: Any, table: Mapping[str, str] = COMMANDS, prefix: str = "", **options: Any) -> None:
        super().__init__(*args, **options)
        self.table, self.prefix = table, prefix

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.table:
            return None
        module: Any = importlib.import_module(f"ml_assets.cli.{self.prefix}{PLACES.get(cmd_name, cmd_name)}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self.table.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ml-assets")
def cli() -> None:
    """Continuous delivery for machine-learning models, as a Dagster asset graph."""


def main() -> None:
    """Entry point: an expected failure is one message on stderr and exit code 1."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    try:
        pin(settings().home)
        cli()
    except MlAssetsError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
    except OSError as error:
        if error.filename is None:  # no file that somebody named
            raise
        click.echo(f"error: {error.filename}: {error.strerror}", err=True)
        sys.exit(1)
