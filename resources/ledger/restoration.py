"""Going on from an older copy of the ledger: by a named person, as an entry of its own, and without a refund.

A home remembers the newest entry that it saw (resources.ledger.head_checkpoint). A ledger that does not hold it has lost
entries: what was charged, promoted or recalled in them is not known any more.
"""

from collections.abc import Mapping

from sqlalchemy import func, select

from ml_assets.core.gates.records import RestorationRecord
from ml_assets.core.release.identity import By, recorded
from ml_assets.errors import MlAssetsError
from resources.ledger import head_checkpoint
from resources.ledger import tables as schema
from resources.ledger.decisions import signed
from resources.ledger.head_checkpoint import Head
from resources.ledger.ledger import Ledger
from resources.ledger.records import Record, read


class NothingToRestore(MlAssetsError):
    """The ledger holds what this home remembers."""


def restore(ledger: Ledger, closed: Mapping[str, str], *, by: By, reason: str) -> Record[RestorationRecord]:
    """Record that this ledger, which lost entries, goes on; the home then remembers the record instead of what was lost. `closed`
    is the newest delivered partition by product. Raises NothingToRestore, DecisionRefused and HeadCheckpointDamaged."""
    who, why = signed(by, reason, what="restoration")
    path = ledger.head_checkpoint
    lost = head_checkpoint.read(path) if path else None
    if path is None or lost is None or ledger.holds(lost):
        raise NothingToRestore("the ledger holds the newest entry that this home remembers; there is nothing to restore")
    with ledger.engine.connect() as connection:
        kept = connection.scalar(select(func.max(schema.entries.c.seq))) or 0
    body = RestorationRecord(lost=lost.seq, lost_hash=lost.hash, kept=kept, closed=closed, reason=why, **recorded(who))
    entry = ledger.append("restoration", body, is_restoring=True)
    head_checkpoint.replace(path, Head(entry.seq, entry.hash))
    return read(entry, RestorationRecord)
