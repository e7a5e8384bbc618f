"""Served predictions, partition by partition: realised metrics with coverage and delay; an estimate until outcomes are in."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from ml_assets.core.lineage.facts import EstimateFacts, LineFacts, OutcomesFacts, RealisedFacts
from ml_assets.core.outcomes.maturity import is_matured
from ml_assets.spec.product import Product
from resources.ledger import recalls
from resources.lineage import Lineage

VALUE = "value"
HEADER = ("release", "served by", "rows", "outcomes", "realised", "promised", "estimate", "value a row")


@dataclass(frozen=True)
class ScoreboardLine:
    """One line as people see it. `value` is the realised metric, None until outcomes say it; `provisional` says why it may still
    change, "" where it may not. `estimate` knows no labels. The worth of a row likewise, where `monitoring.value` is declared."""

    partition: str
    release: str
    source: str
    rows: int
    known: int
    metric: str
    value: float | None
    low: float | None
    high: float | None
    promised: float | None
    estimate: float | None
    worth: float | None
    worth_low: float | None
    worth_high: float | None
    worth_promised: float | None
    worth_estimate: float | None
    has_worth: bool
    provisional: str
    delay_days: float | None = None

    @property
    def coverage(self) -> float:
        """The share of the predictions whose outcome is known."""
        return self.known / self.rows if self.rows else 0.0


def shown(product: Product, partition: str, line: LineFacts, now: datetime, *, delay: float | None = None) -> ScoreboardLine:
    """A recorded line as of a moment (UTC). Where a missing outcome is a no, nothing is realised before the partition matures:
    until then the noes are only those that did not come yet."""
    metric, labels = product.monitoring.metric, product.labels
    is_done = is_matured(product, partition, now)
    hides = not is_done and labels is not None and labels.absent == "negative"
    metrics = {} if line.metrics is None or hides else line.metrics
    nothing = EstimateFacts()
    measured, worth = metrics.get(metric, nothing), metrics.get(VALUE, nothing)
    return ScoreboardLine(
        partition=partition,
        release=line.release,
        source=line.source,
        rows=line.rows,
        known=line.known,
        metric=metric,
        value=measured.value,
        low=measured.low,
        high=measured.high,
        promised=line.promised.get(metric),
        estimate=line.estimated.get(metric),
        worth=worth.value,
        worth_low=worth.low,
        worth_high=worth.high,
        worth_promised=line.promised.get(VALUE),
        worth_estimate=line.estimated.get(VALUE),
        has_worth=product.monitoring.value is not None,
        provisional="" if is_done else f"outcomes are complete {labels.matures if labels else ''} after the end",
        delay_days=delay,
    )


def scoreboard(lineage: Lineage, product: Product, now: datetime) -> list[ScoreboardLine]:
    """All that served and is not recalled, oldest partition first."""
    return list(_lines(lineage, product, now))


def _lines(lineage: Lineage, product: Product, now: datetime) -> Iterator[ScoreboardLine]:
    bad = recalls.derived(lineage.ledger, product.name)
    for key in sorted(lineage.ledger.partitions(product.name, "realised")):
        realised = lineage.ledger.current(product.name, "realised", key)
        if realised is None or realised.id in bad:
            continue
        outcomes = lineage.made_from(realised).get("outcomes")
        delay = OutcomesFacts.of(outcomes).delay_days if outcomes else None
        for line in RealisedFacts.of(realised).lines:
            yield shown(product, key, line, now, delay=delay)


def estimate_error(lines: Sequence[ScoreboardLine]) -> tuple[float, int] | None:
    """By how much estimates were off in the mean where outcomes came, and in how many lines; None where there are none."""
    errors = [
        abs(line.value - line.estimate)
        for line in lines
        if line.value is not None and line.estimate is not None and not line.provisional
    ]
    return (sum(errors) / len(errors), len(errors)) if errors else None


def cells(line: ScoreboardLine) -> list[str]:
    """The line as texts, in the order of HEADER."""
    interval = f" [{line.low:.4f}, {line.high:.4f}]" if line.low is not None and line.high is not None else ""
    value = "" if line.value is None else f"{line.metric} {line.value:.4f}{interval}"
    value = f"{value} (provisional)" if value and line.provisional else value
    delay = f", after {line.delay_days:.1f} d" if line.delay_days is not None else ""
    return [
        line.release,
        line.source,
        f"{line.rows:,}",
        f"{line.known:,} ({line.coverage:.0%}{delay})",
        value or "not known yet",
        _number(line.promised),
        f"{line.estimate:.4f} (no labels)" if line.estimate is not None else "none",
        _worth(line),
    ]


def _worth(line: ScoreboardLine) -> str:
    if not line.has_worth:
        return ""
    if line.worth is not None:
        return f"{line.worth:.4f}, promised {_number(line.worth_promised)}"
    return f"about {line.worth_estimate:.4f} (no labels)" if line.worth_estimate is not None else "not known yet"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
