"""`ml-assets`: the commands. Each is imported when it is called, so that a quick one stays quick."""

import importlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ml_assets.cli.shared.examples import with_examples
from ml_assets.cli.shared.group import Group
from ml_assets.cli.shared.process_end import leave
from ml_assets.errors import MlAssetsError
from resources.environment import pin
from resources.project_file import current_folder, with_project
from resources.settings import settings

COMMANDS = {
    "path": {
        "init": "Make a project folder of your own, for products outside of this package.",
        "new": "Draft a product from your own data: CSV, Parquet, a folder of files or a SQL query.",
        "deliver": "Put a delivered file into the landing folder, whole or not at all.",
        "extract": "Ask the declared sources of a product for rows, and deliver them.",
        "run": "Run the whole path for a partition.",
        "check": "Run the asset checks alone; exit code 1 when one of severity ERROR fails.",
        "plan": "Show what would run now, and why.",
        "push": "Carry a release with all that it was made from to another home.",
        "pull": "Carry a release with all that it was made from here from another home.",
        "deploy": "After a merge, have a Dagster deployment run what became stale, once it runs the commit.",
        "demo": "Replay a history down the whole path: a year of New York flights, or that of a product made by `new`.",
    },
    "serving": {
        "serve": "Serve a product's release over HTTP.",
        "up": "Start Dagster, MLflow and the endpoints and keep them alive, or write units for systemd.",
        "dev": "Start all of it at a terminal.",
        "status": "Show the current state of each partition and the release that serves.",
        "drift": "Show the drift of data and scores, partition by partition, as text or as a page.",
        "backtest": "Play policies of retraining on the past, next to the present one.",
        "outcomes": "Show what served predictions turned out to be worth, next to what was promised.",
        "notify": "Show the channels that notices go out by, and try them.",
        "shadow": "Show the release on trial next to the one that serves, as a shadow or a canary, or end the trial.",
    },
    "decisions": {
        "approve": "Approve a release that waits for a person, so that it serves.",
        "refuse": "Refuse a release that waits for a person, for good.",
        "override": "Release a model against its verdict, by a named person's decision.",
        "rollback": "Let an earlier release serve again.",
        "reopen": "Test on the last fold of a static table again, by a person's decision.",
        "accept": "Accept a partition that looks implausible and is right, so that it is used for training.",
        "freeze": "Stop training and promotion of a product until a day.",
        "recall": "Declare a partition or release bad, and act on all that used it.",
    },
    "audit": {
        "lineage": "Show what made a release, model, partition or prediction.",
        "quarantine": "Show the refused rows of a partition, with their values and reasons.",
        "impact": "Show what used a partition, a table or a delivered file, down to the releases that serve.",
        "explain": "Explain a prediction: its features, their contributions, its release.",
        "card": "Print the model card of a release.",
        "verify": "Check that no byte of the store or the ledger is missing, changed or added.",
        "restore": "Go on from an older copy of the ledger, by a named person's decision.",
        "reproduce": "Rebuild a release from its delivered bytes, and compare.",
        "export": "Export lineage to other tools, or the ledger for an audit.",
        "erase": "Erase the body of one ledger entry, so that the chain still verifies.",
    },
    "review": {
        "tune": "Search the model's parameters on past windows, and write what is better as a patch.",
        "ci": "Show the effects of a change on data, models and gates, and refuse weaker gates without a stated reason.",
        "post": "Post the report of a change to GitHub or GitLab: one comment, and a commit status.",
        "draw": "Print the report of a report.json that was written elsewhere.",
        "experiment": "Try a change on past windows against the last commit, without using the budget, and log it to MLflow.",
        "walk": "Train and score past windows by this code, as files: one side of what `ci` compares.",
        "judge": "Judge two walks by this code and its gates: the other half of what `ci` does.",
        "report": "Write the evaluation report of a partition as Markdown, with plots.",
        "schema": "Print the JSON Schema of product.yaml, or of report.json.",
    },
    "ledger": {"ledger": "Show, move and open up the ledger's database."},
    "people": {"people": "Make, show and remove the keys that people are known by when they decide."},
    "gates": {"gates": "Test the promises of a product's gates, and show their budget."},
}
"""The commands of each folder, with their help. A folder's own name is the command that groups the rest of it."""


class LazyGroup(Group):
    """A group whose commands are modules of their own names: `folders` is {folder of `ml_assets/cli`: {command: help}}."""

    def __init__(self, *args: Any, folders: Mapping[str, Mapping[str, str]] = COMMANDS, prefix: str = "", **options: Any) -> None:
        """Take what click.Group takes, the folders of commands, and the words that come before each command's own."""
        super().__init__(*args, **options)
        self.folders, self.prefix = folders, prefix

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, in the order of the folders."""
        return [name for commands in self.folders.values() for name in commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a command and return its command; None for an unknown name."""
        folder = next((folder for folder, commands in self.folders.items() if cmd_name in commands), None)
        if folder is None:
            return None
        module: Any = importlib.import_module(f"ml_assets.cli.{folder}" + ("" if cmd_name == folder else f".{cmd_name}"))
        return with_examples(module.command, f"{self.prefix}{cmd_name}")

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands by folder, without importing them."""
        for folder, commands in self.folders.items():
            with formatter.section(folder.capitalize()):
                formatter.write_dl(list(commands.items()))


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="\b\nExamples:\n  ml-assets demo\n  ml-assets status flights\n  ml-assets COMMAND --help",
)
@click.version_option(package_name="ml-assets")
def cli() -> None:
    """Continuous delivery for machine-learning models, as a Dagster asset graph."""


def main() -> None:
    """Entry point of a process, which ends here."""
    try:
        run()
    except SystemExit as end:
        if not isinstance(end.code, int | None):
            raise
        leave(int(end.code or 0))


def run() -> None:
    """Run the command of `sys.argv`: an expected failure is one message on stderr and exit code 1. Raises SystemExit."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    try:
        os.environ.update(with_project(os.environ, current_folder()))
        pin(settings().home)
        cli()
    except MlAssetsError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
    except OSError as error:
        if error.filename is None:  # no file that somebody named
            raise
        click.echo(f"error: {error.filename}: {error.strerror}{_of_home(Path(error.filename))}", err=True)
        sys.exit(1)


def _of_home(file: Path) -> str:
    """The next step where a file of the home can't be read or written."""
    home = settings().home
    is_inside = file.is_relative_to(home) or home.is_relative_to(file)
    return f"; the home is {home}: let it be written, or set ML_ASSETS_HOME to another folder" if is_inside else ""
