"""The requests to the declared sources of a product, in the ledger."""

from ml_assets.core.lineage.extractions import ExtractionRecord
from resources.ledger import tables as schema
from resources.ledger.ledger import Ledger
from resources.ledger.records import Record


def extractions(ledger: Ledger, product: str) -> dict[tuple[str, str], Record[ExtractionRecord]]:
    """The newest extraction of each table and partition of the product, oldest first."""
    entries = ledger.records(ExtractionRecord, schema.entries.c.kind == "extraction")
    newest: dict[tuple[str, str], Record[ExtractionRecord]] = {}
    for entry in entries:
        if entry.body.product == product:
            newest[entry.body.table, entry.body.partition] = entry
    return newest
