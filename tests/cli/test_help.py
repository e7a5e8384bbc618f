"""`--help` of each command: what it does, its options, and an example that has the form that the command takes."""

import shlex
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from ml_assets.cli import LazyGroup, cli
from ml_assets.cli.shared.examples import EXAMPLES


def commands(group: click.Command = cli, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Each command below a group, with the words that it is called by."""
    if isinstance(group, LazyGroup):
        context = click.Context(group)
        below = {name: group.get_command(context, name) for name in group.list_commands(context)}
    else:
        below = dict(getattr(group, "commands", {}))
    for name, command in below.items():
        assert command
        yield (*words, name), command
        yield from commands(command, (*words, name))


ALL = dict(commands())


def meant(example: str) -> tuple[tuple[str, ...], list[str]]:
    """The longest command that an example begins with, and what follows it."""
    program, *words = shlex.split(example)
    assert program == "ml-assets", example
    name = max((name for name in ALL if tuple(words[: len(name)]) == name), key=len)
    return name, words[len(name) :]


def problems(example: str) -> list[str]:
    """What is wrong with an example: an option that is not there, a word too many, an argument that lacks."""
    name, words = meant(example)
    context = click.Context(ALL[name], info_name=" ".join(name))
    try:
        given, rest, _ = ALL[name].make_parser(context).parse_args(list(words))
    except click.UsageError as error:
        return [error.format_message()]
    if any(isinstance(param, click.Option) and param.is_eager and param.name in given for param in ALL[name].params):
        return []  # it does something else than the command
    is_given = {param: isinstance(given.get(param), (str, tuple, list)) and bool(given[param]) for param in given}
    missing = [param.human_readable_name for param in ALL[name].params if param.required and not is_given.get(param.name or "")]
    return [*(f"lacks {param}" for param in missing), *(f"{word} is too much" for word in rest)]


def test_every_command_has_an_example() -> None:
    assert len(ALL) > 50
    assert [" ".join(name) for name, command in ALL.items() if "Examples:" not in (command.epilog or "")] == []
    assert set(EXAMPLES) == {" ".join(name) for name in ALL}


def test_every_example_is_of_its_command_and_is_a_call_that_it_takes() -> None:
    for words, examples in EXAMPLES.items():
        for example in examples:
            name, _ = meant(example)
            assert " ".join(name).startswith(words), example
            assert not problems(example), (example, problems(example))


@pytest.mark.parametrize(
    "example",
    ["ml-assets run flights --partitions 2013-04", "ml-assets run", "ml-assets verify flights", "ml-assets erase 412 --by ann"],
)
def test_an_example_that_the_command_would_not_take_is_seen(example: str) -> None:
    assert problems(example)


def test_the_help_text_ends_with_the_examples_as_they_are_typed() -> None:
    shown = CliRunner().invoke(cli, ["run", "--help"]).output
    assert shown.rstrip().endswith("ml-assets run flights --stale")
    assert all(f"\n    {line}\n" in f"{shown}\n" for line in EXAMPLES["run"])
