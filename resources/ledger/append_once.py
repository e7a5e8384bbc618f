"""Append an entry that may be there already: several processes find out the same thing, and one of them records it."""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection

from resources.ledger.kinds import Kind
from resources.ledger.ledger import Ledger


def append_once(
    ledger: Ledger, kind: Kind, body: Mapping[str, Any] | msgspec.Struct, *, is_recorded: Callable[[Connection], bool]
) -> None:
    """Append the entry unless `is_recorded`, which is asked inside the transaction; what it raises undoes all, as a guard of
    Ledger.append does."""

    def refuse_again(connection: Connection) -> None:
        if is_recorded(connection):
            raise _Recorded

    with contextlib.suppress(_Recorded):
        ledger.append(kind, body, guard=refuse_again)


class _Recorded(Exception):
    """The entry was appended before."""
