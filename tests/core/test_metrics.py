"""Metrics against scikit-learn, and what their intervals promise."""

import numpy as np
import pytest
from fairlearn import metrics as fairlearn
from hypothesis import given, settings
from hypothesis import strategies as st
from MLstatkit import Delong_test
from scipy.stats import t
from sklearn import metrics as oracle

from ml_assets.core.gates.panel import panel
from ml_assets.core.metrics.arrays import Floats, Ints
from ml_assets.core.metrics.binary import calibration_error
from ml_assets.core.metrics.decisions import AT_THRESHOLD
from ml_assets.core.metrics.estimates import MetricError, difference, estimate, measure
from ml_assets.core.metrics.intervals import Estimate, Measured, Units
from ml_assets.core.metrics.registry import METRICS, metrics_of
from ml_assets.spec.monitoring import ValueSpec
from tests.support.gated import judged

CLASSIFIED = {
    "roc_auc": oracle.roc_auc_score,
    "pr_auc": oracle.average_precision_score,
    "log_loss": oracle.log_loss,
    "brier": oracle.brier_score_loss,
    "accuracy": lambda y, s, **w: oracle.accuracy_score(y, s >= 0.5, **w),
    "precision": lambda y, s, **w: oracle.precision_score(y, s >= 0.5, **w),
    "f1": lambda y, s, **w: oracle.f1_score(y, s >= 0.5, **w),
    "mcc": lambda y, s, **w: oracle.matthews_corrcoef(y, s >= 0.5, **w),
}
REGRESSED = {
    "mae": oracle.mean_absolute_error,
    "rmse": oracle.root_mean_squared_error,
    "r2": oracle.r2_score,
    "mape": oracle.mean_absolute_percentage_error,
    "bias": lambda y, s, sample_weight=None: np.average(s - y, weights=sample_weight),
}


def binary_rows(seed: int = 0, rows: int = 2000, units: int = 20, ties: int = 3) -> tuple[Floats, Floats, Ints]:
    """Labels, tied scores and units; whole units are good or bad together."""
    random = np.random.default_rng(seed)
    unit = random.integers(0, units, rows)
    effect = random.normal(0, 1, units)[unit]
    y = (random.random(rows) < 1 / (1 + np.exp(1.5 - effect))).astype(float)
    s = np.round(1 / (1 + np.exp(-(y - 1 + random.normal(0, 1, rows)))), ties)
    return y, s, unit


def regression_rows(seed: int = 0, rows: int = 2000) -> tuple[Floats, Floats, Ints]:
    random = np.random.default_rng(seed)
    y = random.normal(10, 4, rows)
    return y, y + random.normal(0.5, 2, rows), random.integers(0, 20, rows)


ONE_SCORE = [name for name, metric in METRICS.items() if metric.task != "multiclass"]
"""Metrics of one score a row; those of several classes are in test_multiclass.py."""


def rows_of(name: str, seed: int = 0) -> tuple[Floats, Floats, Ints]:
    return binary_rows(seed) if METRICS[name].task == "binary" else regression_rows(seed)


@pytest.mark.parametrize("quantile", [10, 50, 90])
def test_a_quantile_loss_is_the_one_of_scikit_learn(quantile: int) -> None:
    y, s, unit = regression_rows()
    expected = oracle.mean_pinball_loss(y, s, alpha=quantile / 100)
    assert estimate(METRICS[f"pinball_{quantile}"], y, s, unit).value == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.5])
def test_rates_are_those_of_the_confusion_matrix_and_of_fairlearn(threshold: float) -> None:
    y, s, unit = binary_rows()
    decided = (s >= threshold).astype(float)
    (tn, fp), (fn, tp) = oracle.confusion_matrix(y, decided)
    by_hand = {"tpr": tp / (tp + fn), "fpr": fp / (fp + tn), "selection_rate": (tp + fp) / y.size}
    theirs = {
        "tpr": fairlearn.true_positive_rate,
        "fpr": fairlearn.false_positive_rate,
        "selection_rate": fairlearn.selection_rate,
    }
    for name, expected in by_hand.items():
        estimated = estimate(AT_THRESHOLD[name](threshold), y, s, unit).value
        assert estimated == pytest.approx(expected, abs=1e-9)
        assert estimated == pytest.approx(theirs[name](y, decided), abs=1e-9)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("selection_rate", fairlearn.selection_rate),
        ("tpr", fairlearn.true_positive_rate),
        ("fpr", fairlearn.false_positive_rate),
    ],
)
def test_the_smallest_ratio_between_groups_is_the_one_of_fairlearn(name: str, theirs) -> None:  # type: ignore[no-untyped-def]
    y, s, unit = binary_rows()
    group = np.random.default_rng(4).choice(["A", "B", "C"], y.size)
    frame = fairlearn.MetricFrame(metrics=theirs, y_true=y, y_pred=(s >= 0.3).astype(float), sensitive_features=group)
    rows = panel(task="binary", y=y, scores={"candidate": s}, unit=unit, columns={"group": group}, threshold=0.3)
    parts = judged(f"ratio({name}, by: group) > 0.1", rows, "veto").parts
    assert min(part.estimate for part in parts) == pytest.approx(frame.ratio(), abs=1e-9)
    if name == "selection_rate":
        ratio = fairlearn.demographic_parity_ratio(y, (s >= 0.3).astype(float), sensitive_features=group)
        assert min(part.estimate for part in parts) == pytest.approx(ratio, abs=1e-9)
    for part in parts:
        one, other = part.where.removeprefix("group: ").split(" / ")
        assert part.estimate == pytest.approx(frame.by_group[one] / frame.by_group[other], abs=1e-9)


@pytest.mark.parametrize("ties", [1, 9])
def test_with_rows_for_units_the_error_of_an_auc_difference_is_that_of_delong(ties: int) -> None:
    """Ours takes rows/(rows-1) of all squared influences; DeLong m/(m-1) of the positives' and n/(n-1) of the negatives'."""
    y, a, _ = binary_rows(ties=ties)
    b = binary_rows(seed=7, ties=ties)[1]
    *_, auc_a, auc_b, info = Delong_test(y, a, b)
    estimated = difference(METRICS["roc_auc"], y, a, b, np.arange(y.size))
    assert estimated.value == pytest.approx(auc_a - auc_b, abs=1e-9)
    psi = METRICS["roc_auc"].influence(y, a) - METRICS["roc_auc"].influence(y, b)  # type: ignore[misc]
    m, n = y.sum(), (1 - y).sum()
    delong = m / (m - 1) * np.sum(psi[y == 1] ** 2) + n / (n - 1) * np.sum(psi[y == 0] ** 2)
    assert delong == pytest.approx(info["var_diff"], abs=1e-12, rel=1e-9)
    ours = Measured(value=0, parts=psi, shares=np.full(y.size, 1 / y.size), is_ordered=False, rows=y.size).spread().standard_error
    assert ours**2 == pytest.approx(info["var_diff"], rel=2 / min(m, n))


@pytest.mark.parametrize("name", [*CLASSIFIED, *REGRESSED])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_value_is_the_one_of_scikit_learn(name: str, weighted: bool) -> None:
    y, s, unit = rows_of(name)
    w = np.random.default_rng(1).integers(0, 4, y.size).astype(float) if weighted else None
    expected = (CLASSIFIED | REGRESSED)[name](y, s, sample_weight=w)
    assert METRICS[name].value(y, s, w) == pytest.approx(expected, abs=1e-9)
    if not weighted:
        assert estimate(METRICS[name], y, s, unit).value == pytest.approx(expected, abs=1e-9)


def test_the_calibration_error_is_the_mean_gap_over_ten_bins_of_equal_mass() -> None:
    y, s, _ = binary_rows(ties=9)
    bins = np.array_split(np.argsort(s), 10)
    gaps = [abs(y[index].mean() - s[index].mean()) for index in bins]
    assert calibration_error(y, s) == pytest.approx(np.mean(gaps), abs=1e-9)


@pytest.mark.parametrize("name", ONE_SCORE)
def test_an_influence_sums_to_zero_and_predicts_what_a_row_is_worth(name: str) -> None:
    metric = METRICS[name]
    y, s, _ = rows_of(name)
    psi = metric.both(y, s)[1] if metric.both else metric.influence(y, s) if metric.influence else None
    assert psi is not None
    assert psi.sum() == pytest.approx(0, abs=1e-9)
    for row in (0, 1, 2, int(np.argmax(np.abs(psi)))):
        step = 1e-5
        w = np.ones_like(y)
        w[row] += step
        slope = (metric.value(y, s, w) - metric.value(y, s, None)) / step
        assert slope == pytest.approx(psi[row], rel=1e-2, abs=1e-7)


@pytest.mark.parametrize("name", ONE_SCORE)
def test_duplicating_every_row_leaves_a_clustered_interval(name: str) -> None:
    y, s, unit = rows_of(name)
    once, twice = estimate(METRICS[name], y, s, unit), estimate(METRICS[name], *(np.repeat(x, 2) for x in (y, s, unit)))
    assert (twice.low, twice.high) == pytest.approx((once.low, once.high), abs=1e-4)
    assert (twice.units, twice.rows) == (once.units, 2 * once.rows)


@pytest.mark.parametrize("name", ONE_SCORE)
def test_duplicating_every_row_shrinks_an_interval_that_takes_rows_for_units(name: str) -> None:
    y, s, _ = (x[:500] for x in rows_of(name))
    once = estimate(METRICS[name], y, s, np.arange(y.size))
    twice = estimate(METRICS[name], np.repeat(y, 2), np.repeat(s, 2), np.arange(2 * y.size))
    assert (twice.high - twice.low) / (once.high - once.low) == pytest.approx(1 / np.sqrt(2), rel=0.12)


def test_on_days_of_equal_size_the_interval_is_the_t_interval_of_the_daily_means() -> None:
    y, s, _ = regression_rows(rows=200)
    y, s = np.concatenate([y, s]), np.concatenate([s, y])  # errors of either sign alike: nothing leans
    unit = np.repeat(np.arange(8), 50)
    daily = (s - y).reshape(8, 50).mean(axis=1)
    expected = t.interval(0.9, 7, loc=daily.mean(), scale=daily.std(ddof=1) / np.sqrt(8))
    estimated = estimate(METRICS["bias"], y, s, unit, level=0.9)
    assert (estimated.low, estimated.high) == pytest.approx(expected)


def test_days_that_are_good_or_bad_together_widen_the_interval() -> None:
    y, s, unit = binary_rows()
    by_day, by_row = (estimate(METRICS["brier"], y, s, units) for units in (unit, np.arange(y.size)))
    assert by_day.high - by_day.low > 1.5 * (by_row.high - by_row.low)


def test_an_interval_covers_the_truth_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(400):
        random = np.random.default_rng(seed)
        day = random.normal(0, 1, 15)
        unit = np.repeat(np.arange(15), 20)
        y = day[unit] + random.normal(0, 1, unit.size)
        estimated = estimate(METRICS["bias"], y, np.zeros_like(y), unit)
        covered += estimated.low <= 0 <= estimated.high
    assert 0.92 <= covered / 400 <= 0.98


@pytest.mark.parametrize("name", ONE_SCORE)
def test_swapping_the_models_negates_the_difference(name: str) -> None:
    (y, a, unit), b = rows_of(name), rows_of(name, seed=5)[1]
    one, other = difference(METRICS[name], y, a, b, unit), difference(METRICS[name], y, b, a, unit)
    assert one.value == pytest.approx(-other.value)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))


@pytest.mark.parametrize("name", ONE_SCORE)
def test_a_model_differs_from_itself_by_exactly_nothing(name: str) -> None:
    y, s, unit = rows_of(name)
    estimated = difference(METRICS[name], y, s, s, unit)
    assert (estimated.value, estimated.low, estimated.high) == (0, 0, 0)


@given(shift=st.floats(-3, 3), seed=st.integers(0, 50))
@settings(max_examples=30, deadline=None)
def test_adding_a_constant_to_all_log_odds_leaves_the_ranking_metrics(shift: float, seed: int) -> None:
    y, s, unit = binary_rows(seed, rows=300, ties=2)
    s = np.clip(s, 0.01, 0.99)
    moved = np.round(1 / (1 + np.exp(-(np.log(s / (1 - s)) + shift))), 12)
    for name in ("roc_auc", "pr_auc"):
        assert estimate(METRICS[name], y, s, unit).to_dict() == pytest.approx(estimate(METRICS[name], y, moved, unit).to_dict())


@pytest.mark.parametrize("name", ONE_SCORE)
@given(
    bad=st.sampled_from([float("nan"), float("inf"), -float("inf"), None]),
    row=st.integers(0, 19),
    column=st.integers(0, 1),
)
@settings(max_examples=12, deadline=None)
def test_a_value_that_is_missing_or_not_finite_is_refused(name: str, bad: float | None, row: int, column: int) -> None:
    y, s, unit = (list(x[:20]) for x in rows_of(name))
    (y, s)[column][row] = bad
    with pytest.raises(MetricError, match="missing or not finite"):
        estimate(METRICS[name], y, s, unit)


@pytest.mark.parametrize(
    ("y", "s", "unit", "words"),
    [
        ([], [], [], "no rows"),
        ([0, 1], [0.1], [1, 2], "same rows"),
        ([0, 1], [0.1, 0.2], [1], "same rows"),
        ([0, 1], [0.1, 0.2], [1, None], "unit"),
        ([0, 2], [0.1, 0.2], [1, 2], "0 or 1"),
        ([0, 1], [0.1, 1.2], [1, 2], "probability"),
        ([0, 1], ["low", "high"], [1, 2], "numbers"),
    ],
)
def test_rows_that_cannot_be_measured_are_an_error_that_says_why(
    y: list[int], s: list[float], unit: list[int], words: str
) -> None:
    with pytest.raises(MetricError, match=words):
        estimate(METRICS["roc_auc"], y, s, unit)


@pytest.mark.parametrize("name", ["roc_auc", "pr_auc"])
@pytest.mark.parametrize(("label", "word"), [(0, "only negatives"), (1, "only positives")])
def test_one_class_has_no_ranking_metric_and_the_note_says_so(name: str, label: int, word: str) -> None:
    estimated = estimate(METRICS[name], [label] * 4, [0.1, 0.2, 0.3, 0.4], [1, 1, 2, 2])
    assert np.isnan([estimated.value, estimated.low, estimated.high]).all()
    assert word in estimated.note
    assert estimated.to_dict()["value"] is None


@pytest.mark.parametrize("name", ["precision", "mcc"])
def test_without_a_positive_decision_a_metric_of_decisions_is_undefined(name: str) -> None:
    estimated = estimate(METRICS[name], [0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4], [1, 1, 2, 2])
    assert np.isnan([estimated.value, estimated.low, estimated.high]).all()
    assert estimated.note == f"{name} is undefined on these rows"


def test_value_is_the_mean_worth_of_the_cells_or_of_the_absolute_errors() -> None:
    y, s, unit = binary_rows()
    (tn, fp), (fn, tp) = oracle.confusion_matrix(y, s >= 0.3)
    worth = ValueSpec(true_positive=10, false_positive=-2, false_negative=-5, true_negative=0.1)
    (value,) = (metric for metric in metrics_of("binary", threshold=0.3, worth=worth) if metric.name == "value")
    assert estimate(value, y, s, unit).value == pytest.approx((10 * tp - 2 * fp - 5 * fn + 0.1 * tn) / y.size)
    assert value.best == "greatest"
    y, s, unit = regression_rows()
    (value,) = (metric for metric in metrics_of("regression", worth=ValueSpec(error=-3)) if metric.name == "value")
    assert estimate(value, y, s, unit).value == pytest.approx(-3 * oracle.mean_absolute_error(y, s))


def test_actual_values_that_do_not_vary_have_no_r2() -> None:
    assert "do not vary" in estimate(METRICS["r2"], [3, 3, 3], [1, 2, 3], [1, 2, 3]).note


@pytest.mark.parametrize("name", ONE_SCORE)
def test_one_unit_has_a_value_but_no_interval(name: str) -> None:
    y, s, unit = rows_of(name)
    estimated = estimate(METRICS[name], y, s, np.zeros_like(unit))
    assert np.isfinite(estimated.value)
    assert np.isnan([estimated.low, estimated.high]).all()
    assert estimated.note.startswith("one unit")


def test_an_interval_stays_within_what_the_metric_can_be() -> None:
    estimated = estimate(METRICS["accuracy"], [1, 1, 1, 0], [0.9, 0.8, 0.7, 0.9], [1, 1, 2, 2])
    assert (estimated.low, estimated.high) == (0, 1)


def test_units_may_be_dates_strings_or_numbers() -> None:
    y, s, unit = binary_rows(rows=300)
    named, dated = [f"2013-01-{code + 1:02}" for code in unit], np.datetime64("2013-01-01") + unit
    assert estimate(METRICS["brier"], y, s, unit) == estimate(METRICS["brier"], y, s, named)
    assert estimate(METRICS["brier"], y, s, unit).value == estimate(METRICS["brier"], y, s, dated).value


def test_accuracy_is_at_the_threshold_of_the_product() -> None:
    (accuracy,) = (metric for metric in metrics_of("binary", threshold=0.3) if metric.name == "accuracy")
    assert accuracy.value(np.array([0.0, 1.0, 1.0]), np.array([0.3, 0.3, 0.2]), None) == pytest.approx(1 / 3)


@pytest.mark.parametrize(("name", "better", "worse"), [("roc_auc", 0.8, 0.7), ("mae", 1.0, 2.0), ("bias", -0.1, 0.5)])
def test_the_advantage_is_positive_when_the_candidate_is_better(name: str, better: float, worse: float) -> None:
    assert METRICS[name].advantage(better, worse) > 0 > METRICS[name].advantage(worse, better)
    assert np.isnan(METRICS[name].advantage(float("nan"), worse))


def test_a_perfect_fit_has_an_rmse_of_zero_and_no_spread() -> None:
    assert estimate(METRICS["rmse"], [1, 2, 3], [1, 2, 3], [1, 2, 3]) == Estimate(value=0, low=0, high=0, units=3, rows=3)


def test_measured_values_carry_the_number_of_units_that_are_present() -> None:
    measured = measure(METRICS["mae"], np.array([1.0, 2.0]), np.array([1.5, 2.5]), Units.of(np.array([3, 9])))
    assert isinstance(measured, Measured)
    assert measured.units == 2
