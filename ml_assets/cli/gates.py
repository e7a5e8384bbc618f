"""`ml-assets gates`: the commands about a product's gates. Each is imported when it is called."""

import importlib
from typing import Any

import click

COMMANDS = {
    "verify": "Show by resampling that the gates keep their promise.",
    "bite": "Sabotage a stored evaluation, and see which gate catches it.",
    "backtest": "Take the past through a gates block, with planted truths.",
    "budget": "Show what each test window was asked, and what is left.",
}


class LazyGroup(click.Group):
    """A group whose commands live in modules `gates_<name>`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module: Any = importlib.import_module(f"ml_assets.cli.gates_{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup)
def command() -> None:
    """Prove, try out and account for a product's gates."""
