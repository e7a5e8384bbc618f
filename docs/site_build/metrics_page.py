"""The reference of the endpoint's metrics, from the families that it renders."""

from collections.abc import Iterator

import numpy as np
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from tables import cell, code, table

from ml_assets.serving.http.prometheus import COUNTERS, GAUGES, HELP, Metrics, joined, observed_families, render
from ml_assets.serving.plain.feature_values import CATEGORY, FeatureValues
from ml_assets.serving.release.observed_counts import ObservedCounts

LEAD = """# Metrics

`GET /metrics` of each endpoint, in Prometheus' text format. Counters begin at zero with the process, those of scores and unknown
categories with the release. With [several workers](../serving.md#several-workers) every metric has the label `worker`, too, and
`ml_assets_worker_up` is there. What drift and realised metrics mean is in [monitoring](../monitoring.md).

"""
RELEASE = "2013-11.c0f93126"


def metrics_page() -> str:
    """The page: name, kind, labels, meaning."""
    return LEAD + table(("metric", "kind", "labels", "what it is"), map(_row, families()))


def families() -> Iterator[Metric]:
    """Each family that a server of two workers renders, with a sample of each."""
    metrics = Metrics(product="flights")
    metrics.requests["/predict", 200] += 1
    metrics.refusals["unknown_category"] += 1
    observed = _observed()
    own = metrics.families(
        release=RELEASE,
        counters={name: 0 for name in COUNTERS if name not in ("requests", "refusals", "unknown_categories")},
        gauges={name: 0.0 for name in GAUGES if name not in ("release_info", "score_psi", "worker_up")},
    )
    text = render([*own, *observed_families(observed, product="flights", release=RELEASE)])
    yield from text_string_to_metric_families(joined({1: text}))


def _observed() -> ObservedCounts:
    """Counts of one row, of a category that the profile does not have."""
    profile = {"score": {"edges": [0.5], "shares": [0.5, 0.5]}, "columns": {"carrier": {"kind": CATEGORY, "levels": ["AA"]}}}
    observed = ObservedCounts(profile, [{"name": "carrier", "kind": CATEGORY}])
    observed.add(FeatureValues(1, np.zeros((0, 1)), [["OO"]]), np.array([0.25]))
    return observed


def _row(family: Metric) -> tuple[str, str, str, str]:
    name = family.name.removeprefix("ml_assets_")
    ending = "_total" if family.type == "counter" else ""
    labels = sorted(
        {label for sample in family.samples for label in sample.labels} - ({"le", "worker"} if name != "worker_up" else set())
    )
    return code(f"{family.name}{ending}"), family.type, ", ".join(map(code, labels)), cell(HELP[name])
