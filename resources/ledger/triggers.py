"""Triggers of trainings, and freezes in which there are none, in the ledger."""

from datetime import datetime

from ml_assets.core.lineage.triggers import FreezeRecord, TriggerRecord
from ml_assets.core.release.identity import By, recorded
from resources.ledger import tables as schema
from resources.ledger.decisions import signed
from resources.ledger.followed_records import records_of
from resources.ledger.ledger import Ledger
from resources.ledger.records import Record, read


def triggers(ledger: Ledger, product: str) -> list[Record[TriggerRecord]]:
    """Every training of the product that something asked for, oldest first."""
    return records_of(ledger, "trigger", TriggerRecord, product)


def trigger_of(ledger: Ledger, run: str) -> Record[TriggerRecord] | None:
    """The trigger of a run's training; None where a person ran it."""
    return next((e for e in ledger.records(TriggerRecord, schema.entries.c.kind == "trigger") if e.body.run == run), None)


def last_freeze(ledger: Ledger, product: str) -> Record[FreezeRecord] | None:
    """The newest freeze of the product, or its end before its time."""
    entries = ledger.records(FreezeRecord, schema.entries.c.kind == "freeze")
    return next((entry for entry in reversed(entries) if entry.body.product == product), None)


def frozen(ledger: Ledger, product: str, now: datetime) -> str:
    """The reason why nothing of the product is trained or promoted at the moment (UTC), and what ends that; "" where it may
    be."""
    entry = last_freeze(ledger, product)
    if entry is None or entry.body.until <= now.isoformat():
        return ""
    freeze = entry.body
    return f"frozen until {freeze.until[:16]} UTC by {freeze.by}: {freeze.reason}; `ml-assets freeze {product} --lift` ends it"


def freeze(ledger: Ledger, product: str, *, until: datetime, by: By, reason: str) -> Record[FreezeRecord]:
    """Let nothing of the product be trained or promoted until a moment (UTC); one that is past ends a freeze. Raises
    DecisionRefused."""
    who, why = signed(by, reason, what="freeze")
    body = FreezeRecord(product=product, until=until.isoformat(timespec="seconds"), reason=why, **recorded(who))
    return read(ledger.append("freeze", body), FreezeRecord)
