"""How the probations of promotions ended: written once for each promotion."""

from sqlalchemy import Connection

from ml_assets.core.outcomes.records import ProbationRecord
from resources.ledger import tables as schema
from resources.ledger.append_once import append_once
from resources.ledger.followed_records import records_of
from resources.ledger.ledger import Ledger, entries_where
from resources.ledger.records import Record


def endings(ledger: Ledger, product: str) -> list[Record[ProbationRecord]]:
    """The end of each probation of the product, oldest first."""
    return records_of(ledger, "probation", ProbationRecord, product)


def end(ledger: Ledger, body: ProbationRecord) -> None:
    """Record how a probation ended, unless another process did."""

    def has_ended(connection: Connection) -> bool:
        earlier = entries_where(connection, schema.entries.c.kind == "probation")
        return any(entry.body.get("promotion") == body.promotion for entry in earlier)

    append_once(ledger, "probation", body, is_recorded=has_ended)
