"""Counters and histograms of one server process, plain numbers while requests are counted; rendered by Prometheus' library."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from ml_assets.serving.release.observed_counts import ObservedCounts

BUCKETS = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
Labels = Mapping[str, str]
STAGES = ("parse", "features", "model", "encode")
COUNTERS: Mapping[str, str] = {
    "requests": "Requests answered, by path and status",
    "refusals": "Requests refused, by reason",
    "rows": "Rows scored",
    "swaps": "Releases that took the place of another one",
    "refused_swaps": "Releases that were asked for and refused; the one before went on serving",
    "canary_rows": "Rows that the canary answered",
    "canary_failed_rows": "Rows that the canary refused or could not score; the champion answered them",
    "shadow_rows_scored": "Rows that the shadow scored",
    "shadow_rows_dropped": "Rows that did not fit the shadow's queue",
    "shadow_rows_failed": "Rows that the shadow refused or could not score",
    "shadow_predictions_not_logged": "Scores of the shadow that its log lost",
    "batches": "Batches scored",
    "predictions_logged": "Predictions written to the log",
    "predictions_not_logged": "Predictions that the log lost: the disk refused them, or too many waited",
    "prediction_log_compactions_failed": "Hours of the prediction log that could not be compacted",
    "rows_left_to_duckdb": "Rows outside of the range in which compiled features are exact",
    "unknown_categories": "Values of a feature that are not among the 20 most frequent of training",
}
GAUGES: Mapping[str, str] = {
    "waiting_rows": "Rows that wait to be scored",
    "features_compiled": "1 where the release's features are computed by the compiled path",
    "model_compiled": "1 where the release's model is scored by the compiled path",
    "serves_instead_of_pointer": "1 where the release that the pointer names is damaged and an earlier one serves",
    "load_seconds": "Time that loading the release took",
    "release_info": "Always 1; the label names the release that serves",
    "score_psi": "Population stability index of these scores against the profile",
    "worker_up": "1 for a worker that answers, 0 for one that is starting",
}
HISTOGRAMS: Mapping[str, str] = {
    "predict_seconds": "Time of one request to /predict, from its first byte to the answer",
    "stage_seconds": "Time of a stage: parse and encode of each request, features and model of each batch",
    "score": "Scores since the release was loaded, in the bins of its reference profile",
}
HELP: Mapping[str, str] = {**COUNTERS, **GAUGES, **HISTOGRAMS}
"""A sentence by metric, without the prefix ml_assets_ and the ending _total of a counter."""


@dataclass
class Histogram:
    """Seconds by bucket."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    sum: float = 0.0

    def add(self, seconds: float) -> None:
        """Count a duration in seconds."""
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.sum += seconds


@dataclass
class Metrics:
    """Counts of the process so far. Only the event loop's thread touches them."""

    product: str = ""
    requests: Counter[tuple[str, int]] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    swaps: int = 0
    refused_swaps: int = 0
    canary_rows: int = 0
    canary_failed_rows: int = 0
    latency: Histogram = field(default_factory=Histogram)
    stages: Mapping[str, Histogram] = field(default_factory=lambda: {stage: Histogram() for stage in STAGES})

    def stage(self, stage: str, seconds: float) -> None:
        """Count the time of one stage: of a request (parse, encode) or of a batch of them (features, model)."""
        self.stages[stage].add(seconds)

    def families(self, *, release: str | None, counters: Mapping[str, int], gauges: Mapping[str, float]) -> Iterator[Metric]:
        """Return the metrics as Prometheus' library takes them, with counters and gauges from elsewhere."""
        product = {"product": self.product}
        requests = sorted(self.requests.items())
        yield _family("counter", "requests", [({**product, "path": p, "status": str(s)}, n) for (p, s), n in requests])
        yield _family("counter", "refusals", [({**product, "reason": why}, n) for why, n in sorted(self.refusals.items())])
        yield _histogram("predict_seconds", [(product, BUCKETS, self.latency.counts, self.latency.sum)])
        stages = [({**product, "stage": stage}, BUCKETS, spent.counts, spent.sum) for stage, spent in self.stages.items()]
        yield _histogram("stage_seconds", stages)
        names = ("rows", "swaps", "refused_swaps", "canary_rows", "canary_failed_rows")
        for name, value in {**{name: getattr(self, name) for name in names}, **counters}.items():
            yield _family("counter", name, [(product, value)])
        for name, gauge in gauges.items():
            yield _family("gauge", name, [(product, gauge)])
        if release is not None:
            yield _family("gauge", "release_info", [({**product, "release": release}, 1)])


def observed_families(observed: ObservedCounts, *, product: str, release: str) -> Iterator[Metric]:
    """Return the scores of the release that serves, to compare with its profile."""
    labels = {"product": product, "release": release}
    if observed.classes:
        by_class = zip(observed.classes, observed.scores, strict=True)
        yield _family("counter", "decisions", [({**labels, "class": name}, count) for name, count in by_class])
    else:
        yield _histogram("score", [(labels, observed.edges, observed.scores, None)])
    yield _family("counter", "unknown_categories", [({**labels, "feature": name}, n) for name, n in observed.unknown.items()])
    if (psi := observed.psi) is not None:
        yield _family("gauge", "score_psi", [(labels, psi)])


@dataclass(frozen=True)
class _Families(Collector):
    """A registry, as the library takes it, of finished families."""

    families: Iterable[Metric]

    def collect(self) -> Iterable[Metric]:
        return self.families


def render(families: Iterable[Metric]) -> str:
    """Return the families in Prometheus' text format."""
    return generate_latest(_Families(families)).decode()


def joined(texts: Mapping[int, str | None]) -> str:
    """Join the texts of several workers, by number: a label names each sample's worker; `worker_up` is 0 without a text."""
    up = _family(
        "gauge", "worker_up", [({"worker": str(number)}, float(text is not None)) for number, text in sorted(texts.items())]
    )
    families = {up.name: up}
    for number, text in sorted(texts.items()):
        for family in text_string_to_metric_families(text or ""):
            whole = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            for sample in family.samples:
                whole.add_sample(sample.name, {**sample.labels, "worker": str(number)}, sample.value)
    return render(families.values())


def _family(kind: str, name: str, samples: Iterable[tuple[Labels, float]]) -> Metric:
    family = Metric(f"ml_assets_{name}", HELP.get(name, name.replace("_", " ").capitalize()), kind)
    for labels, value in samples:
        family.add_sample(family.name + ("_total" if kind == "counter" else ""), dict(labels), value)
    return family


def _histogram(name: str, series: Iterable[tuple[Labels, Sequence[float], Sequence[int], float | None]]) -> Metric:
    """Make a histogram of series: labels, upper bounds, the count of each bucket, and the sum of the values where it is known."""
    family = _family("histogram", name, [])
    for labels, bounds, counts, total in series:
        cumulative = list(accumulate(counts))
        for bound, count in zip([*bounds, "+Inf"], cumulative, strict=True):
            family.add_sample(f"{family.name}_bucket", {**labels, "le": str(bound)}, count)
        family.add_sample(f"{family.name}_count", dict(labels), cumulative[-1])
        if total is not None:
            family.add_sample(f"{family.name}_sum", dict(labels), total)
    return family
