"""Who decides by a command: `--by` is a name that is taken as it is typed, `--key` shows who it is."""

import getpass
from collections.abc import Callable
from datetime import date
from functools import wraps
from typing import Any

import click

from ml_assets.core.release.identity import By
from resources.settings import settings

BY = "Name of the person; that of the key, or else the login name, if not given."
NAMED = "Name of the person, which is recorded; that of the key if not given."
KEY = "Your own key, from `ml-assets people add`. Better in ML_ASSETS_PERSON_KEY or the file of ML_ASSETS_PERSON_KEY_FILE."


def decided_by(*, is_named: bool = False) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options --by and --key; it gets who decides as `by`. `is_named`: the login name is not enough."""

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @click.option("--by", help=NAMED if is_named else BY)
        @click.option("--key", help=KEY)
        @wraps(function)
        def command(*args: Any, by: str | None, key: str | None, **options: Any) -> None:
            function(*args, by=person(by, key, is_named=is_named), **options)

        return command

    return decorate


def person(by: str | None, key: str | None, *, is_named: bool = False) -> By:
    """Who decides: the owner of the key, if there is one, else the name as it was typed. Raises NotKnown, also where the name is
    not the key's, and UsageError."""
    from ml_assets.services.people.keys import NotKnown, identify

    current = settings()
    if not (key := key or current.person_key):
        if by is None and is_named:
            raise click.UsageError("Missing option '--by'.")
        return getpass.getuser() if by is None else by
    identity = identify(current.people_keys, key)
    if by is not None and by.strip().lower() != identity.person.lower():
        raise NotKnown(f"--by says {by!r}, and the key is {identity.person}'s; leave --by out, or decide with {by!r}'s own key")
    return identity


def last_day(text: str) -> date:
    """The day, written YYYY-MM-DD. Raises BadParameter."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a day; write YYYY-MM-DD") from None
