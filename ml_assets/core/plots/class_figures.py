"""The pictures of an evaluation of several classes: the confusion matrix, and the calibration of each class."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ml_assets.core.evaluation.curves import class_calibration
from ml_assets.core.evaluation.result import Evaluation
from ml_assets.core.plots.shared_figures import distribution
from ml_assets.core.plots.style import COLORS, INK, shorten, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN_CLASSES = 6
"""Classes whose calibration is drawn, those with the most rows: more lines hide each other."""
LABELLED_CELLS = 8
"""Up to this number of classes a cell has its count as text."""
_LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def multiclass(evaluation: Evaluation) -> dict[str, bytes]:
    """Every picture of the candidate; the champion's numbers stand next to its own in the matrix."""
    return {
        "confusion_matrix": _confusion(evaluation),
        "calibration": _calibration(evaluation),
        "score_distribution": distribution(
            evaluation.curves.points["score_distribution"],
            title="How sure the models are",
            x="probability of the most probable class",
        ),
    }


def matrix(evaluation: Evaluation, model: str) -> list[list[int]]:
    """Rows of the test window by actual class (outer) and decided class (inner)."""
    counts, size = evaluation.confusion[model], len(evaluation.classes)
    return [[counts[f"{actual},{decided}"] for decided in range(size)] for actual in range(size)]


def _confusion(evaluation: Evaluation) -> bytes:
    names, counts = [shorten(name, 12) for name in evaluation.classes], matrix(evaluation, "candidate")
    before = matrix(evaluation, "champion") if "champion" in evaluation.confusion else None
    size = len(names)

    def draw(axes: "Axes") -> None:
        for actual, row in enumerate(counts):
            for decided, count in enumerate(row):
                share = count / sum(row) if sum(row) else 0.0
                _cell(axes, actual, decided, share)
                if size <= LABELLED_CELLS:
                    axes.text(decided, actual - 0.08, f"{count:,}", ha="center", va="center", fontsize=10, color=INK)
                    if before is not None:
                        axes.text(
                            decided, actual + 0.26, f"{before[actual][decided]:,}",
                            ha="center", va="center", fontsize=7, color=COLORS["champion"],
                        )  # fmt: skip
        axes.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5))
        axes.set_xticks(range(size), names, rotation=30 if sum(map(len, names)) > 40 else 0)
        axes.set_yticks(range(size), names)
        axes.spines[:].set_visible(False)

    title = "Rows by class" + (" (small: the champion)" if before is not None and size <= LABELLED_CELLS else "")
    return svg(draw, title=title, x="decided: the most probable class", y="actual", grid="none")


def _cell(axes: "Axes", actual: int, decided: int, share: float) -> None:
    """A cell shaded by its share of the actual class."""
    axes.fill(
        [decided - 0.48, decided + 0.48, decided + 0.48, decided - 0.48],
        [actual - 0.48, actual - 0.48, actual + 0.48, actual + 0.48],
        color=COLORS["good" if actual == decided else "candidate"],
        alpha=0.06 + 0.5 * share,
        linewidth=0,
    )


def _calibration(evaluation: Evaluation) -> bytes:
    points, numbers = evaluation.curves.points, _largest(evaluation)

    def draw(axes: "Axes") -> None:
        axes.plot([0, 1], [0, 1], color="#9A9A9A", linewidth=1, linestyle=":", label="perfect")
        for number, color in zip(numbers, _LINES, strict=False):
            curve = points[class_calibration(number)]["candidate"]
            name = shorten(evaluation.classes[number], 16)
            axes.plot(curve.x, curve.y, color=color, marker="o", markersize=3.5, label=name)
        axes.set(xlim=(0, 1), ylim=(0, 1.01))

    hidden = len(evaluation.classes) - len(numbers)
    title = "Calibration of the candidate by class" + (f" (largest {len(numbers)}, {hidden} not shown)" if hidden else "")
    return svg(draw, title=title, x="mean predicted probability", y="share of the class")


def _largest(evaluation: Evaluation) -> Sequence[int]:
    """The numbers of the classes with the most rows, in their declared order."""
    rows = [sum(counts) for counts in matrix(evaluation, "candidate")]
    return sorted(sorted(range(len(rows)), key=lambda number: -rows[number])[:SHOWN_CLASSES])
