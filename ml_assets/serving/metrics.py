"""Counters and histograms of one server process, as Prometheus text."""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


@dataclass
class Metrics:
    """What the process did so far. Touched by the event loop's thread only."""

    requests: Counter[tuple[str, int]] = field(default_factory=Counter)
    rows: int = 0
    swaps: int = 0
    refused_swaps: int = 0
    latency: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    latency_sum: float = 0.0

    def observe(self, *, path: str, status: int, seconds: float) -> None:
        """Count one answered request; the latency is that of predictions."""
        self.requests[path, status] += 1
        if path == "/predict":
            self.latency[bisect_left(BUCKETS, seconds)] += 1
            self.latency_sum += seconds

    def text(self, *, product: str, release: str | None, waiting: int, batches: int, log_written: int, log_lost: int) -> str:
        """The metrics in Prometheus' text format."""
        label = f'product="{product}"'
        lines = ["# TYPE ml_assets_requests_total counter"]
        for (path, status), count in sorted(self.requests.items()):
            lines.append(f'ml_assets_requests_total{{{label},path="{path}",status="{status}"}} {count}')
        lines += self._histogram(label)
        counters = {
            "rows": self.rows,
            "batches": batches,
            "swaps": self.swaps,
            "refused_swaps": self.refused_swaps,
            "predictions_logged": log_written,
            "predictions_not_logged": log_lost,
        }
        for name, value in counters.items():
            lines += [f"# TYPE ml_assets_{name}_total counter", f"ml_assets_{name}_total{{{label}}} {value}"]
        lines += ["# TYPE ml_assets_waiting_rows gauge", f"ml_assets_waiting_rows{{{label}}} {waiting}"]
        if release is not None:
            info = f'{label},release="{_escaped(release)}"'
            lines += ["# TYPE ml_assets_release_info gauge", f"ml_assets_release_info{{{info}}} 1"]
        return "\n".join(lines) + "\n"

    def _histogram(self, label: str) -> list[str]:
        name = "ml_assets_predict_seconds"
        lines, total = [f"# TYPE {name} histogram"], 0
        for bound, count in zip([*BUCKETS, "+Inf"], self.latency, strict=True):
            total += count
            lines.append(f'{name}_bucket{{{label},le="{bound}"}} {total}')
        return [*lines, f"{name}_sum{{{label}}} {self.latency_sum:.6f}", f"{name}_count{{{label}}} {total}"]


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
