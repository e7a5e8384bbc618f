"""How the probations of promotions ended: written once for each promotion."""

from sqlalchemy import Connection

from ml_assets.core.outcomes.records import ProbationRecord
from resources.ledger import tables as schema
from resources.ledger.followed_records import records_of
from resources.ledger.ledger import Ledger, entries_where
from resources.ledger.records import Record


def endings(ledger: Ledger, product: str) -> list[Record[ProbationRecord]]:
    """The end of each probation of the product, oldest first."""
    return records_of(ledger, "probation", ProbationRecord, product)


def end(ledger: Ledger, body: ProbationRecord) -> None:
    """Record how a probation ended, unless another process did."""

    def is_first(connection: Connection) -> None:
        known = entries_where(connection, schema.entries.c.kind == "probation")
        if any(entry.body.get("promotion") == body.promotion for entry in known):
            raise _Known

    try:
        ledger.append("probation", body, guard=is_first)
    except _Known:
        return


class _Known(Exception):
    """The same ending was recorded before."""
