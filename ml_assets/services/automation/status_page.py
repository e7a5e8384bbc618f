"""The state of a product as a page for a person on call: what serves, what is wrong, and figures over partitions."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ml_assets.core.html.status_page import Chart, Fact, Row, page
from ml_assets.core.lineage.facts import CountedFacts, EvaluationFacts, Metrics, MonitoringFacts, ReleaseFacts
from ml_assets.services.automation.on_call import OnCall
from ml_assets.services.automation.policy import evidence_of
from ml_assets.spec.product import Product
from resources.endpoints.replicas import replicas
from resources.lineage import Lineage

MOST_PARTITIONS = 120
"""The newest ones that the page shows."""
CLAIMS = ("columns_stable", "score_stable", "requests_match_training")


@dataclass(frozen=True)
class Partition:
    """The state of a partition in the ledger; None where a stage has nothing. `drift` is the worst state of data, scores and
    requests."""

    key: str
    rows: int | None
    quarantined: int | None
    evaluation: EvaluationFacts | None
    monitoring: MonitoringFacts | None
    release: str
    drift: str

    def metric(self, name: str, role: str) -> float | None:
        """A metric of the candidate or the champion on the unseen rows."""
        return _value(self.evaluation.metrics if self.evaluation else None, name, role)

    def realised(self, name: str) -> float | None:
        """A metric of the release that served, on known outcomes."""
        return _value(self.monitoring.metrics if self.monitoring else None, name, "candidate")


def status_page(lineage: Lineage, product: Product, now: OnCall) -> str:
    """The page of a product, as a self-contained HTML document."""
    keys = lineage.ledger.partitions(product.name, "raw")[-MOST_PARTITIONS:]
    partitions = [_partition(lineage, product, key) for key in keys]
    moves = lineage.ledger.moves(product.name, "production")
    promoted = {entry.body.as_of: entry.body.release for entry in moves if entry.kind == "promotion"}
    older = f"; the newest {MOST_PARTITIONS} partitions" if len(keys) == MOST_PARTITIONS else ""
    return page(
        title=f"{product.name}: {product.title}",
        lead=f"As of {datetime.now(UTC):%Y-%m-%d %H:%M} UTC{older}. Written by `ml-assets status {product.name} --html`.",
        facts=[*_facts(now), *_servers(lineage, product)],
        charts=_charts(product, partitions),
        rows=[_row(product, partition, promoted) for partition in reversed(partitions)],
        partitions=keys,
        releases=promoted,
    )


def _facts(now: OnCall) -> list[Fact]:
    facts = [Fact("serves", now.serves or "no release serves in production", "" if now.serves else "warning")]
    facts += [Fact("newest", now.newest or "no partition was read yet")]
    texts = (("waits for", now.waits_for), ("kept", now.kept), ("frozen", now.frozen))
    facts += [Fact(name, text) for name, text in texts if text]
    facts += [Fact("gates", breach, "warning") for breach in now.gates]
    facts += [Fact("trouble", f"{notice.subject}: {notice.why}", notice.severity) for notice in now.troubles]
    facts += [] if now.troubles else [Fact("trouble", "none", "good")]
    facts += [Fact("stale", now.stale or "nothing")]
    return facts + ([Fact("next", "", commands=now.commands)] if now.commands else [])


def _servers(lineage: Lineage, product: Product) -> list[Fact]:
    """The newest report of each server in production."""
    now = lineage.ledger.pointer(product.name, "production")
    facts = []
    for seen in replicas(lineage.ledger.engine, product.name):
        is_well = not seen.is_silent and now is not None and seen.replica.bundle == now.body.bundle
        facts.append(Fact("server", seen.sentence(), "good" if is_well else "warning"))
    return facts


def _charts(product: Product, partitions: list[Partition]) -> list[Chart]:
    metric, watched = product.gates.metric, product.monitoring.metric
    alarms = frozenset(partition.key for partition in partitions if partition.drift == "alarm")

    def on_unseen_rows(name: str) -> dict[str, list[float | None]]:
        return {role: [partition.metric(name, role) for partition in partitions] for role in ("candidate", "champion")}

    realised = [partition.realised(watched) for partition in partitions]
    promised = [partition.monitoring.promised if partition.monitoring else None for partition in partitions]
    psi = [partition.monitoring.score_psi if partition.monitoring else None for partition in partitions]
    rows: list[float | None] = [partition.rows for partition in partitions]
    return [
        Chart(f"{metric} on unseen rows", on_unseen_rows(metric)),
        Chart("value on unseen rows", on_unseen_rows("value")),
        Chart(f"{watched} of what served", {"realised": realised, "promised": promised}),
        Chart("drift of the scores (PSI)", {"scores": psi}, product.monitoring.score_psi, begins_at_zero=True, alarms=alarms),
        Chart("rows", {"delivered": rows}, begins_at_zero=True),
        Chart("quarantined rows", {"quarantined": [part.quarantined for part in partitions]}, begins_at_zero=True),
    ]


def _row(product: Product, partition: Partition, promoted: Mapping[str, str]) -> Row:
    metric = product.gates.metric
    serves = " (promoted)" if partition.release and promoted.get(partition.key) == partition.release else ""
    return Row(
        partition=partition.key,
        rows=_text(partition.rows, ",d"),
        quarantined=_text(partition.quarantined, ",d"),
        candidate=_text(partition.metric(metric, "candidate"), ".4f"),
        champion=_text(partition.metric(metric, "champion"), ".4f"),
        verdict=partition.evaluation.verdict.decision if partition.evaluation else "no candidate",
        drift=partition.drift,
        realised=_text(partition.realised(product.monitoring.metric), ".4f"),
        release=f"{partition.release}{serves}",
    )


def _partition(lineage: Lineage, product: Product, key: str) -> Partition:
    stages = ("raw", "quarantine", "evaluation", "monitoring", "release")
    current = {stage: lineage.ledger.current(product.name, stage, key) for stage in stages}
    evaluation, monitoring, release = (current[stage] for stage in ("evaluation", "monitoring", "release"))
    counts = {stage: CountedFacts.of(manifest).count if (manifest := current[stage]) else None for stage in ("raw", "quarantine")}
    return Partition(
        key=key,
        rows=counts["raw"],
        quarantined=counts["quarantine"],
        evaluation=EvaluationFacts.of(evaluation) if evaluation else None,
        monitoring=MonitoringFacts.of(monitoring) if monitoring else None,
        release=ReleaseFacts.of(release).release if release else "",
        drift=_drift(lineage, product, key) if monitoring else "",
    )


def _drift(lineage: Lineage, product: Product, key: str) -> str:
    looks = [evidence_of(lineage.ledger, product, key, claim) for claim in CLAIMS]
    states = [str(look.details.values.get("state", "")) for look in looks if look is not None]
    return next((state for state in ("alarm", "watch", "stable") if state in states), states[0] if states else "")


def _value(metrics: Metrics | None, name: str, role: str) -> float | None:
    estimate = (metrics or {}).get(name, {}).get(role)
    return estimate.value if estimate else None


def _text(value: Any, form: str) -> str:
    return "" if value is None else f"{value:{form}}"
