"""Drift in a product, partition by partition: verdicts on data, scores and requests, and the realised metric."""

from collections.abc import Sequence
from dataclasses import dataclass

from ml_assets.core.drift.verdict import DriftVerdict
from ml_assets.core.html.drift_page import PartitionRow, Point, page
from ml_assets.core.lineage.facts import FeaturesFacts, MonitoringFacts
from ml_assets.services.watching.summaries import Summaries
from ml_assets.services.watching.verdicts import of_data, of_scores
from ml_assets.spec.product import Product
from resources.lineage import Lineage, NotMaterialized
from resources.settings import Settings

REQUESTS = "requests_match_training"
NOT_MONITORED = "no release served yet"


@dataclass(frozen=True)
class Watched:
    """One partition: its rows, the verdicts, and the realised metric in words. `scores` is None where no release served.
    `requests` and `requests_state`: the verdict on what was asked about it, as its check recorded it; "" where there is none."""

    partition: str
    rows: int
    data: DriftVerdict
    scores: DriftVerdict | None
    realised: str
    requests: str = ""
    requests_state: str = ""


def watched(lineage: Lineage, product: Product, settings: Settings, *, until: str = "") -> list[Watched]:
    """Every partition up to one, or up to the newest, in order. Raises NotMaterialized."""
    ledger = lineage.ledger
    newest = max((key for key in ledger.partitions(product.name, "features") if not until or key <= until), default="")
    if not newest:
        raise NotMaterialized(f"{product.name} has no features yet; `ml-assets run {product.name}` makes them")
    summaries, features = Summaries.of(lineage, product, settings), lineage.current(product, "features", newest)
    last = max((key for key in ledger.partitions(product.name, "monitoring") if key <= newest), default="")
    monitoring = ledger.current(product.name, "monitoring", last) if last else None
    release = lineage.made_from(monitoring).get("release") if monitoring else None
    data = of_data(summaries, features, release=release)
    scores = {verdict.partition: verdict for verdict in of_scores(lineage, product, monitoring)} if monitoring else {}
    return [
        Watched(
            verdict.partition,
            FeaturesFacts.of(lineage.current(product, "features", verdict.partition)).rows,
            verdict,
            scores.get(verdict.partition),
            _realised(lineage, product, verdict.partition),
            *_requests(lineage, product, verdict.partition),
        )
        for verdict in data
    ]


def drift_page(product: Product, partitions: Sequence[Watched]) -> str:
    """The partitions as one HTML page."""
    lines = [
        PartitionRow(
            partition.partition,
            f"{partition.rows:,}",
            partition.data.state,
            _in_words(partition.data),
            partition.scores.state if partition.scores else "",
            _in_words(partition.scores) if partition.scores else NOT_MONITORED,
            partition.realised,
            partition.requests_state,
            partition.requests.partition(": ")[2] if partition.requests_state != "stable" else partition.requests,
        )
        for partition in reversed(partitions)
    ]
    columns: dict[str, list[Point]] = {}
    for partition in partitions:
        for verdict in (partition.data, partition.scores):
            for name, band in (verdict.bands if verdict else {}).items():
                if name.startswith("(") and verdict is partition.scores:
                    continue  # the number of rows is the data's
                exceeds = name in verdict.exceeds if verdict else False
                columns.setdefault(name, []).append(Point(partition.partition, band.moved, band.low, band.high, exceeds))
    lead = (
        "An alarm: the same column moved more than the past allows in this partition and in one of the two before it; false in "
        "at most 1 % of partitions. A watch is one partition alone, and has no stated rate."
    )
    return page(title=f"Drift of {product.name}", lead=lead, lines=lines, columns=columns, ignored=product.monitoring.ignore)


def _in_words(verdict: DriftVerdict) -> str:
    """The verdict next to its state: of a stable one also that a column exceeds, which is no alarm yet."""
    return verdict.sentence if verdict.state == "stable" else verdict.why


def _requests(lineage: Lineage, product: Product, partition: str) -> tuple[str, str]:
    """The record of the check of requests about a partition, and its state; "" where it recorded nothing."""
    current = lineage.ledger.current(product.name, "monitoring", partition)
    look = lineage.ledger.evidence(current.id).get(REQUESTS) if current else None
    if look is None:
        return "", ""
    return look.body.details.description, str(look.body.details.values.get("state", ""))


def _realised(lineage: Lineage, product: Product, partition: str) -> str:
    current = lineage.ledger.current(product.name, "monitoring", partition)
    facts = MonitoringFacts.of(current) if current else None
    name = product.monitoring.metric
    if facts is None or facts.metrics is None or facts.metrics[name]["candidate"].value is None:
        return ""
    promised = f", promised {facts.promised:.3f}" if facts.promised is not None else ""
    return f"{name} {facts.metrics[name]['candidate'].value:.3f}{promised}"
