"""Partitions whose content a person accepted although it looked implausible, or set off an alarm."""

from ml_assets.core.lineage.acceptances import AcceptanceRecord
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.release.identity import By, recorded
from resources.ledger import tables as schema
from resources.ledger.decisions import signed
from resources.ledger.ledger import Ledger
from resources.ledger.records import Record, read


def accept(ledger: Ledger, raw: Manifest, *, by: By, reason: str) -> Record[AcceptanceRecord]:
    """Record that the content that this raw manifest was read from is right. Raises DecisionRefused."""
    who, why = signed(by, reason, what="accept")
    about = {"product": raw.recipe.product, "partition": raw.partition}
    body = AcceptanceRecord(delivered=_delivered(raw), reason=why, **about, **recorded(who))
    return read(ledger.append("acceptance", body), AcceptanceRecord)


def acceptances(ledger: Ledger, product: str) -> list[Record[AcceptanceRecord]]:
    """Every acceptance of the product, oldest first."""
    entries = ledger.records(AcceptanceRecord, schema.entries.c.kind == "acceptance")
    return [entry for entry in entries if entry.body.product == product]


def accepted(ledger: Ledger, product: str) -> dict[str, Record[AcceptanceRecord]]:
    """The newest acceptance of each partition whose current content it is about."""
    newest = {}
    for entry in acceptances(ledger, product):
        raw = ledger.current(product, "raw", entry.body.partition)
        if raw is not None and _delivered(raw) == dict(entry.body.delivered):
            newest[entry.body.partition] = entry
    return newest


def _delivered(raw: Manifest) -> dict[str, str]:
    return {given.asset: given.data_version for given in raw.recipe.inputs}
