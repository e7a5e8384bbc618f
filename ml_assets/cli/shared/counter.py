"""One line of a terminal that says how far long work is. Where nobody watches (a pipe, `--json`), it says nothing."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import click


@dataclass(frozen=True)
class Counter:
    """Writes over its own line of stderr."""

    is_quiet: bool

    def __call__(self, words: str) -> None:
        """Show these words in place of those before."""
        if not self.is_quiet:
            click.echo(f"\r\x1b[K{words}", nl=False, err=True)


@contextmanager
def counter(*, as_json: bool = False) -> Iterator[Counter]:
    """A counter whose line is gone afterwards."""
    tell = Counter(is_quiet=as_json or not sys.stderr.isatty())
    try:
        yield tell
    finally:
        tell("")
