"""A group of commands that says what is meant, or what there is, where a name is none of its commands."""

from difflib import get_close_matches

import click

SHOWN = 10
"""Commands that a refusal lists; of more it names the one that is meant alone."""


class Group(click.Group):
    """A click.Group whose refusals name commands."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the named command with what follows it. Raises UsageError for an unknown name, with the one most like it."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            names = self.list_commands(ctx)
            near = get_close_matches(args[0], names, n=1)
            listed = f" There are: {', '.join(names)}." if len(names) <= SHOWN else ""
            raise click.UsageError(error.message + (f" Did you mean '{near[0]}'?" if near else listed), ctx) from None
