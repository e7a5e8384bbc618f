"""Whether what served kept what its release promised: by metric, and by value where a row's worth is declared."""

from collections.abc import Sequence
from datetime import datetime

from ml_assets.core.lineage.facts import LineFacts, RealisedFacts
from ml_assets.core.metrics.registry import METRICS
from ml_assets.services.evidence import Finding
from ml_assets.services.outcomes.scoreboard import ScoreboardLine, shown
from ml_assets.spec.product import Product

HOLDS, VALUE_HOLDS = "served_metric_holds", "served_value_holds"


def findings(product: Product, partition: str, facts: RealisedFacts, now: datetime) -> Sequence[Finding]:
    """One finding for each claim, on lines with as many outcomes as the gates ask for. What is not known passes nothing and
    fails nothing: it says so."""
    lines = [shown(product, partition, line, now) for line in facts.lines if _is_enough(product, line)]
    metric = _metric(product, lines)
    return [metric, _value(lines)] if product.monitoring.value else [metric]


def _is_enough(product: Product, line: LineFacts) -> bool:
    least = product.gates.minimum
    if product.task == "multiclass":  # lines don't count the rows of each class
        return line.known >= least.per_class * len(product.features.classes)
    if product.task != "binary":
        return line.known >= 2
    positives = line.positives or 0
    return positives >= least.positives and line.known - positives >= least.negatives


def _metric(product: Product, lines: Sequence[ScoreboardLine]) -> Finding:
    spec, judged = product.monitoring, [line for line in lines if line.value is not None and line.promised is not None]
    if not judged:
        return Finding(HOLDS, True, "not known yet: too few outcomes came, or the release promised no such metric", "WARN")
    drops = {line: -METRICS[spec.metric].advantage(line.value or 0.0, line.promised or 0.0) for line in judged}
    worst = max(judged, key=lambda line: drops[line])
    words = (
        f"{worst.release} by {worst.source}: {spec.metric} {worst.value:.4f} on {worst.known:,} outcomes, "
        f"{worst.promised:.4f} on its test window, may drop by {spec.max_drop:g}"
    )
    words = f"{words}; provisional: {worst.provisional}" if worst.provisional else words
    values = {"value": worst.value, "promised": worst.promised, "drop": drops[worst], "is_provisional": bool(worst.provisional)}
    return Finding(HOLDS, drops[worst] <= spec.max_drop, words, "WARN", values)


def _value(lines: Sequence[ScoreboardLine]) -> Finding:
    """A row is worth less than promised where even the upper end of its interval is."""
    judged = [line for line in lines if line.worth is not None and line.worth_promised is not None]
    if not judged:
        return Finding(VALUE_HOLDS, True, "not known yet: too few outcomes came, or the release promised no value", "WARN")
    worst = min(judged, key=lambda line: (line.worth or 0.0) - (line.worth_promised or 0.0))
    limit = worst.worth_high if worst.worth_high is not None else worst.worth
    is_kept = (limit or 0.0) >= (worst.worth_promised or 0.0)
    words = (
        f"{worst.release} by {worst.source}: a row was worth {worst.worth:.4f}, at most {limit:.4f}; "
        f"{worst.worth_promised:.4f} was promised on its test window"
    )
    words = f"{words}; provisional: {worst.provisional}" if worst.provisional else words
    return Finding(VALUE_HOLDS, is_kept, words, "WARN", {"worth": worst.worth, "promised": worst.worth_promised})
