"""People's decisions to test on a used fold of a static table again, in the ledger."""

from ml_assets.core.lineage.reopenings import ReopeningRecord
from ml_assets.core.release.identity import By, recorded
from resources.ledger import tables as schema
from resources.ledger.decisions import signed
from resources.ledger.ledger import Ledger
from resources.ledger.records import Record, read


def reopen(ledger: Ledger, product: str, partition: str, *, by: By, reason: str) -> Record[ReopeningRecord]:
    """Let the candidate as of a delivery be tested on the last fold again. Raises DecisionRefused."""
    who, why = signed(by, reason, what="reopen")
    body = ReopeningRecord(product=product, partition=partition, reason=why, **recorded(who))
    return read(ledger.append("reopening", body), ReopeningRecord)


def reopened(ledger: Ledger, product: str) -> dict[str, Record[ReopeningRecord]]:
    """The first such decision about each delivery: a second one says nothing new."""
    entries = ledger.records(ReopeningRecord, schema.entries.c.kind == "reopening")
    return {entry.body.partition: entry for entry in reversed(entries) if entry.body.product == product}
