"""The requests to the declared sources of a product, in the ledger."""

from ml_assets.core.lineage.extractions import ExtractionRecord
from resources.ledger.followed_records import records_of
from resources.ledger.ledger import Ledger
from resources.ledger.records import Record


def extractions(ledger: Ledger, product: str) -> dict[tuple[str, str], Record[ExtractionRecord]]:
    """The newest extraction of each table and partition of the product, oldest first."""
    entries = records_of(ledger, "extraction", ExtractionRecord, product)
    return {(entry.body.table, entry.body.partition): entry for entry in entries}
