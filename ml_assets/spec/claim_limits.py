"""The ranges of measures, and so whether a claim says anything."""

from collections import Counter
from collections.abc import Mapping
from math import inf

from ml_assets.spec.claim_grammar import ClaimForm, Measure

RANGES: Mapping[str, tuple[float, float]] = {
    **dict.fromkeys(("roc_auc", "pr_auc", "brier", "calibration_error", "accuracy", "tpr", "fpr", "selection_rate"), (0.0, 1.0)),
    **dict.fromkeys(("precision", "f1", "macro_f1", "macro_auc"), (0.0, 1.0)),
    **dict.fromkeys(("calibration_gap", "calibration_loss", "mcc"), (-1.0, 1.0)),
    **dict.fromkeys(("log_loss", "mae", "rmse", "mape", "pinball_10", "pinball_50", "pinball_90"), (0.0, inf)),
    "r2": (-inf, 1.0),
    **dict.fromkeys(("bias", "calibration_slope", "value"), (-inf, inf)),
}
"""The least and the greatest value of each metric."""


def limits(form: ClaimForm) -> tuple[float, float]:
    """The least and the greatest that the sum of a form's measures can be."""
    weights: Counter[Measure] = Counter()
    for weight, measure in form.terms:
        weights[measure] += weight  # type: ignore[assignment]  # Counter is typed for whole numbers
    ends = [sorted(weight * end for end in _range(measure)) for measure, weight in weights.items() if weight]
    return sum(low for low, _ in ends), sum(high for _, high in ends)


def never_fails(form: ClaimForm) -> str:
    """The reason why the claim holds whatever the models do; empty if it can fail."""
    low, high = limits(form)
    if not (low > form.constant if form.sign == ">" else high < form.constant):
        return ""
    return f"it cannot fail: what it measures is {low:g} to {high:g} for any models, and so always {form.sign} {form.constant:g}"


def _range(measure: Measure) -> tuple[float, float]:
    if measure.kind == "metric":
        return RANGES[measure.metric]
    return (0.0, 1.0) if measure.kind == "disagreement" else (0.0, inf)
