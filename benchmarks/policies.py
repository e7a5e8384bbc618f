"""Policies of retraining on flights by week, 2013: what `ml-assets backtest` plays of a stored product."""

import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from benchmarks.alarms import features_by_week, weeks_observed
from benchmarks.tables import table
from ml_assets.core.drift.verdict import DriftReference, follow
from ml_assets.core.outcomes.policy_backtest import Played, RetrainingPolicy
from ml_assets.services.outcomes.past_windows import PastWindows
from ml_assets.services.outcomes.played_policies import PolicyReplicates, cells, compared, header, pasts
from ml_assets.spec.labels import LabelsSpec
from ml_assets.spec.monitoring import ValueSpec
from ml_assets.spec.partitions import PartitionSpec, WindowSpec
from ml_assets.spec.product import Product

SCHEDULES, SEED = 20, 1
IGNORED = "day_of_year"
WORTH = {"true_positive": 3.0, "false_positive": -1.0}
POLICIES = (
    RetrainingPolicy("each week", ("new_partition",), max_drop=0.03),
    RetrainingPolicy("every 4 weeks", ("schedule",), every=4, max_drop=0.03),
    RetrainingPolicy("every 8 weeks", ("schedule",), every=8, max_drop=0.03),
    RetrainingPolicy("loss: 1 week by 0.03", ("loss",), fails=1, of=1, max_drop=0.03),
    RetrainingPolicy("loss: 2 of 3 weeks by 0.03", ("loss",), max_drop=0.03),
    RetrainingPolicy("drift: an alarm", ("drift",), max_drop=0.03),
    RetrainingPolicy("never", ("never",), max_drop=0.03),
)
LATE = "4w"
"""After how long outcomes are complete in the second table."""


def measure(*, months: int, runs: int) -> dict[str, Any]:
    """Each policy on `runs` replicates, with outcomes that are known at once and with late ones; all months of the year."""
    weeks = features_by_week()
    watched = [(key, rows.drop("flight_id", "scheduled_at")) for key, rows in weeks]
    verdicts = follow(weeks_observed(watched), DriftReference(ignored=frozenset({IGNORED})))
    alarmed = {verdict.partition for verdict in verdicts if verdict.state == "alarm"}
    tables = {}
    for matures in ("0d", LATE):
        product = weekly(matures)
        windows = PastWindows(product, [key for key, _ in weeks], [rows for _, rows in weeks])
        past = pasts(windows, alarmed, replicates=runs, say=lambda words: None)
        played = compared(POLICIES, past, schedules=SCHEDULES, seed=SEED)
        tables[matures] = [asdict(row) for row in played]
    return {"weeks": len(weeks), "header": header(weekly("0d")), "tables": tables}


def text(results: Mapping[str, Any]) -> str:
    """A table for each way that outcomes come."""
    parts = [f"flights by week, {results['weeks']} weeks; {SCHEDULES} random schedules for each replicate, seed {SEED}"]
    for matures, rows in results["tables"].items():
        policies = [PolicyReplicates(row["policy"], [Played(**replicate) for replicate in row["rows"]]) for row in rows]
        lines = [cells(policy, has_worth=True) for policy in policies]
        parts.append(f"outcomes are complete {matures} after a week's end:\n\n{table(results['header'], lines)}")
    return "\n\n".join(parts)


def weekly(matures: str) -> Product:
    """The product flights by week: eight weeks train and three are tested, as its gates ask for twenty days; a model of 50 trees
    of depth 6; the worth of a late flight that was said, and of a false alarm."""
    from ml_assets.cli.shared.context import product_named
    from resources.settings import settings

    product = product_named("flights", settings(os.environ))
    labels = LabelsSpec(matures=matures) if matures != "0d" else None
    return product.model_copy(
        update={
            "partitions": PartitionSpec(every="week", start="2013-01-07", end="2013-12-30"),
            "window": WindowSpec(train=8, test=3, minimum=4),
            "model": product.model.model_copy(update={"iterations": 50, "depth": 6}),
            "monitoring": product.monitoring.model_copy(update={"value": ValueSpec.model_validate(WORTH)}),
            "labels": labels,
        }
    )
