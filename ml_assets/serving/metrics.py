"""Counters and histograms of one server process, as Prometheus text."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ml_assets.serving.observed import Observed

BUCKETS = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
STAGES = ("parse", "features", "model", "encode")


@dataclass
class Histogram:
    """Seconds by bucket."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    sum: float = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.sum += seconds


@dataclass
class Metrics:
    """What the process did so far. Touched by the event loop's thread only."""

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

    def text(self, *, release: str | None, counters: Mapping[str, int], gauges: Mapping[str, float]) -> str:
        """The metrics in Prometheus' text format, with counters and gauges that others hold."""
        label = f'product="{self.product}"'
        lines = ["# TYPE ml_assets_requests_total counter"]
        for (path, status), count in sorted(self.requests.items()):
            lines.append(f'ml_assets_requests_total{{{label},path="{path}",status="{status}"}} {count}')
        lines.append("# TYPE ml_assets_refusals_total counter")
        for reason, count in sorted(self.refusals.items()):
            lines.append(f'ml_assets_refusals_total{{{label},reason="{reason}"}} {count}')
        lines += _histogram("ml_assets_predict_seconds", {label: self.latency})
        lines += _histogram("ml_assets_stage_seconds", {f'{label},stage="{name}"': h for name, h in self.stages.items()})
        names = ("rows", "swaps", "refused_swaps", "canary_rows", "canary_failed_rows")
        own = {name: getattr(self, name) for name in names}
        for name, value in {**own, **counters}.items():
            lines += [f"# TYPE ml_assets_{name}_total counter", f"ml_assets_{name}_total{{{label}}} {value}"]
        for name, gauge in gauges.items():
            lines += [f"# TYPE ml_assets_{name} gauge", f"ml_assets_{name}{{{label}}} {gauge:g}"]
        if release is not None:
            info = f'{label},release="{_escaped(release)}"'
            lines += ["# TYPE ml_assets_release_info gauge", f"ml_assets_release_info{{{info}}} 1"]
        return "\n".join(lines) + "\n"


def observed_text(observed: Observed, *, product: str, release: str) -> str:
    """What the answering release scored so far, beside its profile."""
    label = f'product="{product}",release="{_escaped(release)}"'
    lines = ["# TYPE ml_assets_score histogram", *_cumulated("ml_assets_score", label, observed.edges, observed.scores)]
    lines.append("# TYPE ml_assets_unknown_categories_total counter")
    for name, count in observed.unknown.items():
        lines.append(f'ml_assets_unknown_categories_total{{{label},feature="{_escaped(name)}"}} {count}')
    if (psi := observed.psi) is not None:
        lines += ["# TYPE ml_assets_score_psi gauge", f"ml_assets_score_psi{{{label}}} {psi:.6g}"]
    return "\n".join(lines) + "\n"


def joined(texts: Mapping[int, str | None]) -> str:
    """The texts of several workers, by number, as one: each sample says whose it is, and `worker_up` which worker told none."""
    up = [f'ml_assets_worker_up{{worker="{number}"}} {text is not None:d}' for number, text in sorted(texts.items())]
    families = {"# TYPE ml_assets_worker_up gauge": up}
    for number, text in sorted(texts.items()):
        for line in (text or "").splitlines():
            if line.startswith("#"):
                family = families.setdefault(line, [])
            else:
                family.append(line.replace("{", f'{{worker="{number}",', 1))
    return "".join(f"{line}\n" for head, samples in families.items() for line in (head, *samples))


def _histogram(name: str, labelled: Mapping[str, Histogram]) -> Iterator[str]:
    yield f"# TYPE {name} histogram"
    for label, histogram in labelled.items():
        yield from _cumulated(name, label, BUCKETS, histogram.counts)
        yield f"{name}_sum{{{label}}} {histogram.sum:.6f}"


def _cumulated(name: str, label: str, bounds: Sequence[float], counts: Sequence[int]) -> Iterator[str]:
    total = 0
    for bound, count in zip([*bounds, "+Inf"], counts, strict=True):
        total += count
        yield f'{name}_bucket{{{label},le="{bound}"}} {total}'
    yield f"{name}_count{{{label}}} {total}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
