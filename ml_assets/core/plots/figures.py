"""Small pictures of an evaluation, a fit and a drift report, as SVG bytes. The style lives in style.py."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from ml_assets.core.evaluation.result import Evaluation
from ml_assets.core.metrics.drift import DriftReport
from ml_assets.core.plots import class_figures, task_figures
from ml_assets.core.plots.shared_figures import bars, slices
from ml_assets.core.plots.style import COLORS, svg
from ml_assets.spec.tasks import Task

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DRAW: Mapping[Task, Callable[[Evaluation], dict[str, bytes]]] = {
    "binary": task_figures.binary,
    "regression": task_figures.regression,
    "multiclass": class_figures.multiclass,
}
"""The pictures of each task."""
_LINES = ("candidate", "champion", "actual", "good")


def plots(evaluation: Evaluation) -> dict[str, bytes]:
    """Every picture of the evaluation by name; drawn from its thinned points, so its size is bounded."""
    return _DRAW[evaluation.task](evaluation) | ({"slices": slices(evaluation)} if evaluation.slices else {})


def learning_curve(points: Mapping[str, Sequence[tuple[float, float]]], *, metric: str) -> bytes:
    """The loss by iteration, one line per data set (learn, validation)."""

    def draw(axes: "Axes") -> None:
        for (name, pairs), style in zip(points.items(), _LINES, strict=False):
            step = max(1, len(pairs) // 100)
            thinned = [*pairs[:-1:step], *pairs[-1:]]
            axes.plot([x for x, _ in thinned], [y for _, y in thinned], color=COLORS[style], label=name)

    return svg(draw, title=f"{metric} while learning", x="iteration (trees)", y=metric)


def feature_importance(pairs: Sequence[tuple[str, float]]) -> bytes:
    """Which features the model uses, largest first."""
    return bars(pairs, title="Feature importance", x="importance (% of the change in prediction)")


def drift_plot(report: DriftReport, *, limit: float) -> bytes:
    """PSI of each column and of the score, against the limit."""
    columns = [(name, psi) for name, psi in report.columns.select("column", "psi").iter_rows()]
    pairs = [("score", report.score_psi), *columns]
    return bars(pairs, title="Drift against the reference", x="population stability index (PSI)", limit=limit)
