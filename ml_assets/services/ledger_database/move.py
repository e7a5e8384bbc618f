"""Move a ledger to another database, entry by entry as it is, and let the old one take no more entries."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, delete, func, insert, make_url, select

from ml_assets.errors import MlAssetsError
from resources.ledger import tables as schema
from resources.ledger.chain import GENESIS, Entry, rule_of
from resources.ledger.database import MOVED_TO, lock, open_database, refuse_moved, shown
from resources.ledger.head_checkpoint import Head
from resources.ledger.ledger import Ledger, entries_where, write

CHUNK = 500


class MoveRefused(MlAssetsError):
    """The ledger cannot be moved there, or is not whole; nothing was changed."""


def move(ledger: Ledger, target: str) -> Head:
    """Copy every entry into the empty ledger at a URL, hashes and index tables included, and mark the old ledger as moved. Return
    the newest entry, which both hold. Raises MoveRefused, and LedgerRefused where the target cannot be opened.

    The old ledger takes no entry meanwhile; the new one is filled by one transaction, and the mark comes last. Killed before it,
    the old ledger goes on, and the same command again finds the copy equal and marks it.
    """
    with _opened(target) as empty, ledger.engine.begin() as source:
        if make_url(ledger.url) == make_url(target):
            raise MoveRefused(f"{shown(target)} is the ledger itself")
        lock(source)
        refuse_moved(source)
        with empty.begin() as connection:
            lock(connection)
            head = _checked_head(source, ledger.url)
            if head.seq == 0:
                raise MoveRefused(f"{shown(ledger.url)} is empty: there is nothing to move; set ML_ASSETS_LEDGER to the new one")
            if _checked_head(connection, target) != head:
                _refuse_filled(connection, target, ledger)
                for entry in _whole(source, ledger.url):
                    write(connection, entry)
        with empty.connect() as connection:
            if (copied := _checked_head(connection, target)) != head:
                raise MoveRefused(f"{shown(target)} ends at {copied}, the ledger at {head}: empty it and try again")
        source.execute(delete(schema.ledger_facts).where(schema.ledger_facts.c.name == MOVED_TO))
        source.execute(insert(schema.ledger_facts).values(name=MOVED_TO, value=shown(target)))
    return head


@contextmanager
def _opened(url: str) -> Iterator[Engine]:
    engine = open_database(url)
    try:
        yield engine
    finally:
        engine.dispose()


def _refuse_filled(connection: Connection, target: str, ledger: Ledger) -> None:
    if count := connection.scalar(select(func.count()).select_from(schema.entries)):
        raise MoveRefused(
            f"{shown(target)} holds {count} entries already, and only an empty ledger can take over {shown(ledger.url)}; name "
            f"another database"
        )


def _checked_head(connection: Connection, url: str) -> Head:
    head = Head(0, GENESIS)
    for entry in _whole(connection, url):
        head = Head(entry.seq, entry.hash)
    return head


def _whole(connection: Connection, url: str) -> Iterator[Entry]:
    """The entries in their order. Raises MoveRefused at one that does not follow from the one before, or does not hash right."""
    seq, previous = 0, GENESIS
    while entries := entries_where(connection, schema.entries.c.seq > seq, schema.entries.c.seq <= seq + CHUNK):
        for entry in entries:
            if (entry.seq, entry.previous) != (seq + 1, previous) or rule_of(entry) is None:
                raise MoveRefused(f"{shown(url)}: entry {entry.seq} is not what was written; `ml-assets verify` lists the damage")
            seq, previous = entry.seq, entry.hash
            yield entry
    last = connection.scalar(select(func.max(schema.entries.c.seq))) or 0
    if last != seq:
        raise MoveRefused(f"{shown(url)}: entries after {seq} are missing; `ml-assets verify` lists the damage")
