"""Features of served requests beside those that were delivered: whether clients ask what the model was trained on."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_assets.core.drift.verdict import Verdict
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.lineage.partitions import partitions_of
from ml_assets.services.outcomes.served import release_of_bundle
from ml_assets.services.replicas.shared_logs import served_log
from ml_assets.services.watching.summaries import Summaries
from ml_assets.spec.product import Product
from resources.lineage import Lineage
from resources.settings import Settings

if TYPE_CHECKING:
    import polars as pl


NOT_SERVED = "nothing was asked about its time, as far as the log and this ledger tell"


def served_verdict(lineage: Lineage, product: Product, settings: Settings, partition: str) -> Verdict | None:
    """`of_served` for a partition's current features."""
    return of_served(Summaries.of(lineage, product, settings), settings, lineage.current(product, "features", partition))


def of_served(summaries: Summaries, settings: Settings, features: Manifest) -> Verdict | None:
    """The verdict on what production was asked about the time of a partition: features of the requests in its log, computed by
    the release that answered most of them, beside those of the partition and the ones before it. None where nothing was asked, or
    the release is not in this ledger.

    How many requests came says nothing of skew, and is left out.
    """
    from ml_assets.core.drift.histograms import count
    from ml_assets.core.release.offline_bundle import own_features
    from ml_assets.services.watching.verdicts import of_others

    lineage, product = summaries.lineage, summaries.product
    log = served_log(settings, lineage.snapshots, product.name)
    requests, bundle = _asked(product, log, features.partition)
    release = release_of_bundle(lineage, product, bundle) if bundle else None
    if release is None or requests.is_empty():
        return None
    own = own_features(lineage.handle(release), requests, is_cast=False)
    return of_others(summaries, features, count(own.drop(product.features.key)), rows=own.height)


def _asked(product: Product, folder: Path, partition: str) -> "tuple[pl.DataFrame, str]":
    """The requests about the partition's time, the last for each key, and the bundle that answered most of them."""
    import polars as pl

    from ml_assets.serving.log.reader import read

    log = read(folder).filter(pl.col("environment") == "production")
    rows: dict[str, tuple[dict[str, Any], str]] = {}
    for text, bundle in log.select("request", "bundle").rows():
        request = json.loads(text)
        if _is_within(request.get(product.features.time), product, partition):
            rows[json.dumps([request.get(name) for name in product.features.key])] = (request, bundle)
    if not rows:
        return pl.DataFrame(), ""
    bundles = [bundle for _, bundle in rows.values()]
    newest = max(dict.fromkeys(reversed(bundles)), key=bundles.count)
    asked = [request for request, bundle in rows.values() if bundle == newest]
    return pl.DataFrame(asked, infer_schema_length=None), newest


def _is_within(at: Any, product: Product, partition: str) -> bool:
    """Whether a request's time, as it was sent, is of the partition; each request of a product whose questions have none."""
    from datetime import UTC, datetime

    if not product.features.time:
        return True
    try:
        moment = datetime.fromisoformat(str(at))
        moment = moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    except (ValueError, OverflowError):
        return False
    start, end = partitions_of(product).window(partition)
    return start <= moment < end
