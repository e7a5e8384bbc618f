"""Which partitions have outcomes that were not held against what served yet: new files, or outcomes that are complete by now."""

import time
from datetime import datetime

from ml_assets.core.digests import digest_json
from ml_assets.core.outcomes.maturity import is_matured, matures_at
from ml_assets.spec.product import Product
from resources.landing import Landing
from resources.landing_digests import FileDigests
from resources.ledger.partition_reads import outcomes_read, shown_since
from resources.lineage import Lineage
from resources.outcome_files import by_asset, outcome_digests, outcome_entries
from resources.settings import Settings


def due_outcomes(
    lineage: Lineage, landing: Landing, settings: Settings, product: Product, now: datetime
) -> list[tuple[str, str]]:
    """The partitions whose job is due at a moment (UTC), oldest first, each with a mark of why: its files and its maturity.

    Files that changed within `landing.settle` seconds are left alone. Partitions without features are: their path comes first.
    """
    digests = FileDigests.read(settings.cache / f"outcomes-{product.name}.json")
    files, still_since = outcome_digests(landing, product, digests), now.timestamp() - product.landing.settle
    digests.write()
    moving = {
        key
        for key, entries in outcome_entries(landing, product).items()
        if any(still_since < max(stat.st_mtime, stat.st_ctime) <= time.time() for stat in (e.stat() for e in entries.values()))
    }
    read, shown = outcomes_read(lineage.ledger, product.name), shown_since(lineage.ledger, product.name, "realised")
    due = []
    for key in lineage.ledger.partitions(product.name, "features"):
        named = by_asset(product, files.get(key, {}))
        if key not in moving and _is_due(product, key, named, now, read=read.get(key), shown=shown.get(key)):
            due.append((key, digest_json([named, is_matured(product, key, now)])[:12]))
    return due


def _is_due(
    product: Product, key: str, named: dict[str, str], now: datetime, *, read: dict[str, str] | None, shown: str | None
) -> bool:
    """`read`: the files that the current outcomes were read from, None before there are any; `shown`: since when what they say
    of what served is recorded."""
    if read is None:
        return bool(named)
    if named and named != read:
        return True
    if shown is None:
        return False
    at = matures_at(product, key)
    return at is not None and at <= now and shown < at.isoformat()
