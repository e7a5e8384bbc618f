"""The outcome of a search: as JSON, and as a run of MLflow shows it."""

import math
from itertools import accumulate
from typing import Any

from ml_assets.core.metrics.registry import METRICS
from ml_assets.services.tuning.search import Tuned
from resources.tracking.mlflow_catalogue import Logged


def record(tuned: Tuned) -> dict[str, Any]:
    """As JSON; a trial without a value has null and says why."""
    return {
        "product": tuned.product,
        "metric": tuned.metric,
        "searched": list(tuned.searched),
        "held_apart": list(tuned.held_apart),
        "declared": tuned.declared,
        "best": {"value": tuned.value, "parameters": dict(tuned.parameters), "at_edge": list(tuned.at_edge)},
        "difference": tuned.difference.to_dict(),
        "is_better": tuned.is_better,
        "outcome": tuned.sentence,
        "trials": [
            {
                "number": trial.number,
                "parameters": dict(trial.parameters),
                "value": None if math.isnan(trial.value) else trial.value,
                "why": trial.why,
            }
            for trial in tuned.trials
        ],
        "cpu_seconds": tuned.cpu_seconds,
        "patch": tuned.patch,
    }


def logged(tuned: Tuned) -> Logged:
    """The search as one run: its best parameters, both comparisons, the best value by trial, all trials as a table, the patch."""
    values = [trial.value for trial in tuned.trials if not math.isnan(trial.value)]
    best = max if METRICS[tuned.metric].greater_is_better else min
    estimates = {"value": tuned.difference.value, "low": tuned.difference.low, "high": tuned.difference.high}
    return Logged(
        parameters=dict(tuned.parameters),
        metrics={
            f"searched/{tuned.metric}": tuned.value,
            f"searched/{tuned.metric}/declared": tuned.declared,
            **{f"difference/{tuned.metric}/{n}": v for n, v in estimates.items() if math.isfinite(v)},
        },
        tags={"evidence": "development", "product": tuned.product, "outcome": "better" if tuned.is_better else "not better"},
        curves={f"best/{tuned.metric}": list(accumulate(values, best))},
        texts={"outcome.md": tuned.sentence + "\n", **({"tune.patch": tuned.patch} if tuned.patch else {})},
        tables={"tune.json": record(tuned)},
    )
