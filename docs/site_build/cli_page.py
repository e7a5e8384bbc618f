"""The reference of the command line, from the commands themselves."""

import inspect
from collections.abc import Iterator

import click
from tables import block, cell, code, table

from ml_assets.cli import COMMANDS, LazyGroup, cli
from ml_assets.cli.shared.examples import EXAMPLES

LEAD = """# Commands

`ml-assets COMMAND --help` says the same at a terminal. Every command ends with exit code 0 when it did what it is for, 1 when it
was refused, with one message on stderr, and 2 when its arguments are wrong; others are named below. The shell completes commands,
options and products, once it has read what `_ML_ASSETS_COMPLETE=bash_source ml-assets` prints (or `zsh_source`, `fish_source`).

"""


def cli_page() -> str:
    """The page: each folder of commands, each command with its text, usage, options and examples."""
    context = click.Context(cli, info_name="ml-assets")
    parts = [LEAD]
    for folder, commands in COMMANDS.items():
        parts.append(f"## {folder.capitalize()}\n\n")
        for name in commands:
            command = cli.get_command(context, name)
            assert command is not None
            parts += _described(command, name, context)
    return "".join(parts)


def _described(command: click.Command, words: str, parent: click.Context) -> Iterator[str]:
    context = click.Context(command, info_name=words.rpartition(" ")[2], parent=parent)
    yield f"### ml-assets {words}\n\n"
    yield f"{_prose(command.help or '')}\n\n"
    below = _below(command, context)
    if isinstance(command, click.Group):
        yield from (f"- [`ml-assets {words} {name}`](#ml-assets-{words}-{name})\n" for name in below)
        yield "\n"
    else:
        yield block(f"ml-assets {words} {' '.join(command.collect_usage_pieces(context))}", "text") + "\n"
        rows = [record for option in command.params if (record := option.get_help_record(context)) and record[1]]
        if rows:
            yield table(("option", ""), [(code(names), cell(text)) for names, text in rows]) + "\n"
        yield block("\n".join(EXAMPLES[words]), "sh") + "\n"
    for name, subcommand in below.items():
        yield from _described(subcommand, f"{words} {name}", context)


def _below(command: click.Command, context: click.Context) -> dict[str, click.Command]:
    if isinstance(command, LazyGroup):
        loaded = {name: command.get_command(context, name) for name in command.list_commands(context)}
        return {name: shown for name, shown in loaded.items() if shown is not None}
    return dict(getattr(command, "commands", {}))


def _prose(text: str) -> str:
    """A help text as Markdown: its paragraphs, with what could be taken for HTML or emphasis escaped outside of code."""
    parts = inspect.cleandoc(text).replace("\b\n", "").split("`")
    return "`".join(part if number % 2 else part.replace("<", "&lt;").replace("*", "\\*") for number, part in enumerate(parts))
