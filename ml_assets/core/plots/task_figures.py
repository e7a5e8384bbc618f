"""The pictures of a binary and of a regression evaluation."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ml_assets.core.evaluation.curves import Curve
from ml_assets.core.evaluation.result import Evaluation
from ml_assets.core.plots.shared_figures import distribution, lines
from ml_assets.core.plots.style import COLORS, INK, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CELLS = (("true_negative", "false_positive"), ("false_negative", "true_positive"))


def binary(evaluation: Evaluation) -> dict[str, bytes]:
    """Every picture that the rows allow: with one class only there is no ROC or precision-recall curve."""
    points = evaluation.curves.points
    pictures = {"calibration": _calibration(points["calibration"])}
    if "roc" in points:
        pictures["roc"] = _roc(evaluation, points["roc"])
        pictures["precision_recall"] = _precision_recall(evaluation, points["precision_recall"])
    if evaluation.threshold is not None:
        pictures["confusion_matrix"] = _confusion(evaluation, evaluation.threshold)
    pictures["score_distribution"] = distribution(
        points["score_distribution"], title="Distribution of the scores", x="predicted probability"
    )
    return pictures


def regression(evaluation: Evaluation) -> dict[str, bytes]:
    """Predictions against what happened, and the errors by size and over time."""
    points = evaluation.curves.points
    return {
        "predicted_vs_actual": _predicted(points["predicted_vs_actual"]),
        "residuals": distribution(points["residuals"], title="Residuals", x="predicted − actual (unit of the label)"),
        "residuals_by_unit": _over_units(points["residuals_by_unit"]),
        "score_distribution": distribution(
            points["score_distribution"], title="Predictions and actual values", x="value (unit of the label)"
        ),
    }


def _roc(evaluation: Evaluation, curves: Mapping[str, Curve]) -> bytes:
    def draw(axes: "Axes") -> None:
        axes.plot([0, 1], [0, 1], color="#9A9A9A", linewidth=1, linestyle=":")
        lines(axes, curves, values=_values(evaluation, "roc_auc"))
        axes.set(xlim=(0, 1), ylim=(0, 1.01))

    return svg(draw, title="ROC curve", x="false positive rate", y="true positive rate")


def _precision_recall(evaluation: Evaluation, curves: Mapping[str, Curve]) -> bytes:
    def draw(axes: "Axes") -> None:
        base = (evaluation.positives or 0) / evaluation.rows
        axes.axhline(base, color="#9A9A9A", linewidth=1, linestyle=":", label=f"share of positives {base:.3f}")
        lines(axes, curves, values=_values(evaluation, "pr_auc"))
        axes.set(xlim=(0, 1), ylim=(0, 1.01))

    return svg(draw, title="Precision and recall", x="recall", y="precision")


def _calibration(curves: Mapping[str, Curve]) -> bytes:
    def draw(axes: "Axes") -> None:
        top = max(float(value) for curve in curves.values() for value in (*curve.x, *curve.y)) * 1.05 or 1.0
        axes.plot([0, top], [0, top], color="#9A9A9A", linewidth=1, linestyle=":", label="perfect")
        lines(axes, curves, marker="o")
        axes.set(xlim=(0, top), ylim=(0, top))

    return svg(draw, title="Calibration, ten bins of equal mass", x="mean predicted probability", y="share of positives")


def _confusion(evaluation: Evaluation, threshold: float) -> bytes:
    counts = evaluation.confusion["candidate"]

    def draw(axes: "Axes") -> None:
        for row, names in enumerate(_CELLS):
            for column, name in enumerate(names):
                _cell(axes, row=row, column=column, counts=counts, name=name)
                if "champion" in evaluation.confusion:
                    before = f"champion {evaluation.confusion['champion'][name]:,}"
                    axes.text(column, row + 0.26, before, ha="center", va="center", color=COLORS["champion"])
        axes.set(xlim=(-0.5, 1.5), ylim=(1.5, -0.5))
        axes.set_xticks([0, 1], ["negative", "positive"])
        axes.set_yticks([0, 1], ["negative", "positive"], rotation=90, va="center")
        axes.spines[:].set_visible(False)

    title = f"Rows by decision at threshold {threshold:g}"
    return svg(draw, title=title, x=f"predicted (score ≥ {threshold:g})", y="actual", grid="none")


def _cell(axes: "Axes", *, row: int, column: int, counts: Mapping[str, int], name: str) -> None:
    """A cell shaded by its share of the actual class, with its count and that share."""
    total = sum(counts[cell] for cell in _CELLS[row])
    share = counts[name] / total if total else 0.0
    color = COLORS["good" if row == column else "candidate"]
    axes.fill(
        [column - 0.48, column + 0.48, column + 0.48, column - 0.48],
        [row - 0.48, row - 0.48, row + 0.48, row + 0.48],
        color=color,
        alpha=0.08 + 0.3 * share,
        linewidth=0,
    )
    axes.text(column, row - 0.14, f"{counts[name]:,}", ha="center", va="center", fontsize=14, color=INK)
    axes.text(column, row + 0.08, f"{share:.1%} of actual {('negative', 'positive')[row]}s", ha="center", va="center")


def _predicted(curves: Mapping[str, Curve]) -> bytes:
    def draw(axes: "Axes") -> None:
        values = [value for curve in curves.values() for value in (*curve.x, *curve.y)]
        ends = [min(map(float, values)), max(map(float, values))]
        axes.plot(ends, ends, color="#9A9A9A", linewidth=1, linestyle=":", label="perfect")
        for model in reversed(list(curves)):
            shape = "o" if model == "candidate" else "x"
            axes.plot(curves[model].x[::2], curves[model].y[::2], shape, color=COLORS[model], markersize=3, label=model)

    title = "Predicted and actual, a sample over the range"
    return svg(draw, title=title, x="actual (unit of the label)", y="predicted (unit of the label)")


def _over_units(curves: Mapping[str, Curve]) -> bytes:
    def draw(axes: "Axes") -> None:
        labels = next(iter(curves.values())).x
        axes.axhline(0, color=INK, linewidth=0.8)
        lines(axes, {model: Curve(x=tuple(map(float, range(len(labels)))), y=curve.y) for model, curve in curves.items()})
        ticks = sorted({0, len(labels) // 3, 2 * len(labels) // 3, len(labels) - 1})
        axes.set_xticks(ticks, [str(labels[tick])[:16] for tick in ticks])

    return svg(draw, title="Mean residual by unit", x="unit", y="predicted − actual (unit of the label)")


def _values(evaluation: Evaluation, metric: str) -> dict[str, str]:
    """The metric of each model as text for the legend."""
    comparison = evaluation.comparison(metric)
    return {name: f" {estimate.value:.3f}" for name, estimate in comparison.estimates.items()} if comparison else {}
