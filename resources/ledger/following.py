"""The questions of whoever follows a ledger, without an entry of its own: its identity, and its newest entry."""

from sqlalchemy import select

from resources.ledger import head_checkpoint
from resources.ledger import tables as schema
from resources.ledger.database import refuse_later, refuse_moved
from resources.ledger.head_checkpoint import Head
from resources.ledger.identity import identity
from resources.ledger.ledger import Ledger


def identity_of(ledger: Ledger) -> str | None:
    """The hash of the first entry, which no other ledger has; None while there is none."""
    with ledger.engine.connect() as connection:
        return identity(connection)


def newest(ledger: Ledger) -> Head | None:
    """The newest entry, None while there is none. Raises LedgerRolledBack where the home remembers a newer one, and LedgerMoved
    where the ledger goes on elsewhere."""
    columns = schema.entries.c
    with ledger.engine.connect() as connection:
        refuse_moved(connection)
        refuse_later(connection)
        if ledger.head_checkpoint is not None:
            head_checkpoint.refuse_rolled_back(ledger.head_checkpoint, connection)
        row = connection.execute(select(columns.seq, columns.hash).order_by(columns.seq.desc()).limit(1)).first()
    return Head(row.seq, row.hash) if row else None


def remember(ledger: Ledger, head: Head) -> None:
    """Have the home remember an entry that was seen, so that an older copy of the ledger is recognised here too."""
    if ledger.head_checkpoint is not None:
        head_checkpoint.remember(ledger.head_checkpoint, head)
