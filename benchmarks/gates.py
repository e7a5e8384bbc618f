"""A million rows, three models, twelve claims with ten metrics and twenty slices, judged; against scikit-learn computing the
metrics alone. Each runs in a process of its own, on the same rows; making them is measured too and taken off."""

import json
import sys
from collections.abc import Mapping
from statistics import median
from typing import Any

import numpy as np

from benchmarks.child import run

ROWS, DAYS, SLICES = 1_000_000, 60, 20
MODELS = ("candidate", "champion", "anchor")
THRESHOLD = 0.3
GATES = {
    "unit": "day",
    "claims": [
        *(
            {"name": f"{name}_{model}", "prove": f"{name}(candidate) - {name}({model}) {sign} {margin}"}
            for name, sign, margin in (
                ("roc_auc", ">", -0.005),
                ("brier", "<", 0.002),
            )
            for model in ("champion", "anchor")
        ),
        {"name": "precise", "prove": "pr_auc(candidate) - pr_auc(champion) > -0.01"},
        {"name": "right", "prove": "accuracy(candidate) - accuracy(champion) > -0.01"},
        {"name": "calibrated", "veto": "calibration_error(candidate) < 0.1"},
        {"name": "gap", "prove": "calibration_gap(candidate) < 0.1"},
        {"name": "balanced", "prove": "tpr(candidate) - fpr(candidate) > 0.05"},
        {"name": "slices", "for_each": ["place"], "veto": "log_loss(candidate) - log_loss(champion) < 0.02"},
        {"name": "ranked", "for_each": ["place"], "veto": "roc_auc(candidate) - roc_auc(anchor) > -0.05"},
        {"name": "fair", "veto": "ratio(selection_rate, by: place) > 0.8"},
    ],
}


def measure(*, months: int, runs: int) -> dict[str, Any]:
    """Medians over `runs` of CPU seconds, wall seconds and peak memory of each. `months` means nothing here."""
    results = {}
    for who in ("rows", "judge", "scikit-learn"):
        spent = [run("benchmarks.gates", [who]) for _ in range(runs)]
        results[who] = {name: median(getattr(process, name) for process in spent) for name in ("cpu", "wall", "peak_mb")}
        results[who]["output"] = spent[-1].output
    return results


def text(results: Mapping[str, Any]) -> str:
    base = results["rows"]
    rows = []
    for who in ("judge", "scikit-learn"):
        spent = results[who]
        cpu, memory = spent["cpu"] - base["cpu"], spent["peak_mb"] - base["peak_mb"]
        rows.append(f"{who:<14} {cpu:8.1f} {spent['wall'] - base['wall']:8.1f} {memory:10.0f}  {spent['output']}")
    ratio = (results["judge"]["cpu"] - base["cpu"]) / (results["scikit-learn"]["cpu"] - base["cpu"])
    header = f"{ROWS:,} rows, {len(MODELS)} models, {SLICES} slices, {DAYS} days\n"
    columns = f"{'':<14} {'CPU s':>8} {'wall s':>8} {'MB more':>10}"
    return "\n".join([header, columns, *rows, f"\njudging takes {ratio:.2f} times the CPU of the metrics alone"])


def _rows() -> dict[str, Any]:
    random = np.random.default_rng(1)
    day, signal = np.repeat(np.arange(DAYS), ROWS // DAYS + 1)[:ROWS], random.standard_normal(ROWS)
    y = (random.random(ROWS) < 1 / (1 + np.exp(1.2 - random.normal(0, 0.4, DAYS)[day] - signal))).astype(float)
    scores = {name: 1 / (1 + np.exp(1.3 - signal - 0.5 * random.standard_normal(ROWS))) for name in MODELS}
    place = np.array([f"p{number:02}" for number in range(SLICES)])[random.integers(0, SLICES, ROWS)]
    return {"y": y, "scores": scores, "unit": day, "columns": {"place": place}}


def _judge(rows: dict[str, Any]) -> str:
    from ml_assets.core.gates.claims import judge_claim
    from ml_assets.core.gates.levels import level
    from ml_assets.core.gates.panel import panel
    from ml_assets.spec.gates import GateSpec

    gates = GateSpec.model_validate(GATES)
    window = panel(task="binary", threshold=THRESHOLD, **rows)
    at = level(gates.budget)
    results = [judge_claim(c, window, level=at, minimum=gates.minimum, expected={}) for c in gates.claims]
    hypotheses = sum(len(claim.parts) or 1 for claim in results)
    return f"{len(results)} claims, {hypotheses} hypotheses, {sum(claim.outcome == 'PASS' for claim in results)} passed"


def _scikit_learn(rows: dict[str, Any]) -> str:
    """Point values alone of the metrics that the claims are about."""
    from sklearn import metrics

    y, place, count = rows["y"], rows["columns"]["place"], 0
    for model, s in rows["scores"].items():
        decided = s >= THRESHOLD
        for metric in (metrics.roc_auc_score, metrics.average_precision_score, metrics.brier_score_loss, metrics.log_loss):
            metric(y, s)
        metrics.accuracy_score(y, decided)
        metrics.confusion_matrix(y, decided)
        count += 8
        for name in np.unique(place):
            part = place == name
            metrics.log_loss(y[part], s[part])
            metrics.roc_auc_score(y[part], s[part])
            count += 2 if model != "candidate" else 3
            if model == "candidate":
                metrics.confusion_matrix(y[part], decided[part])
    return f"{count} values"


if __name__ == "__main__":
    table = _rows()
    answer = {"rows": lambda rows: "", "judge": _judge, "scikit-learn": _scikit_learn}[sys.argv[1]](table)
    print(json.dumps(answer))
