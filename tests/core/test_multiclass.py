"""Several classes: metrics against scikit-learn, what is undefined without a class, scores as columns, and the panel of gates."""

import numpy as np
import polars as pl
import pytest
from sklearn import metrics as oracle

from ml_assets.core.evaluation.comparison import evaluate
from ml_assets.core.evaluation.result import Evaluation
from ml_assets.core.gates.panel import Panel, panel
from ml_assets.core.metrics import score_columns
from ml_assets.core.metrics.arrays import Floats, Ints
from ml_assets.core.metrics.estimates import MetricError, estimate, measure
from ml_assets.core.metrics.intervals import Units
from ml_assets.core.metrics.multiclass import MULTICLASS
from ml_assets.core.plots.figures import plots
from ml_assets.core.plots.thumbnails import confusion
from ml_assets.spec.claim_grammar import parse
from ml_assets.spec.gates import MinimumSpec

CLASSES = ("low", "middle", "high", "top")
THEIRS = {
    "log_loss": lambda y, s, **w: oracle.log_loss(y, s, labels=range(4), **w),
    "accuracy": lambda y, s, **w: oracle.accuracy_score(y, s.argmax(axis=1), **w),
    "macro_f1": lambda y, s, **w: oracle.f1_score(y, s.argmax(axis=1), average="macro", **w),
    "macro_auc": lambda y, s, **w: oracle.roc_auc_score(y, s, multi_class="ovr", average="macro", **w),
}


def rows(seed: int = 0, count: int = 1500, units: int = 30) -> tuple[Floats, Floats, Ints]:
    """Labels, probabilities with ties, and units that are good or bad together."""
    random = np.random.default_rng(seed)
    unit = random.integers(0, units, count)
    y = random.choice(4, count, p=[0.5, 0.3, 0.15, 0.05]).astype(float)
    odds = random.normal(0, 1, (count, 4)) + random.normal(0, 1, units)[unit][:, None]
    odds[np.arange(count), y.astype(int)] += 1.2
    raised = np.exp(np.round(odds, 1))
    return y, raised / raised.sum(axis=1, keepdims=True), unit


def rows_panel(seed: int = 0, *, y: Floats | None = None) -> Panel:
    own, s, unit = rows(seed)
    scores = {"candidate": s, "champion": rows(seed)[1][:, [0, 1, 3, 2]]}
    return panel(task="multiclass", y=own if y is None else y, scores=scores, unit=unit, columns={}, classes=CLASSES)


@pytest.mark.parametrize("name", THEIRS)
@pytest.mark.parametrize("seed", range(3))
def test_a_metric_of_several_classes_is_the_one_of_scikit_learn(name: str, seed: int) -> None:
    y, s, unit = rows(seed)
    assert estimate(MULTICLASS[name], y, s, unit).value == pytest.approx(THEIRS[name](y, s), abs=1e-9)
    w = np.random.default_rng(seed).random(y.size)
    assert MULTICLASS[name].value(y, s, w) == pytest.approx(THEIRS[name](y, s, sample_weight=w), abs=1e-9)


@pytest.mark.parametrize("name", THEIRS)
def test_the_influence_of_a_unit_is_what_its_weight_changes(name: str) -> None:
    y, s, unit = rows()
    metric, step = MULTICLASS[name], 1e-4
    sums = measure(metric, y, s, Units.of(unit)).parts
    for code in (0, 7, 29):
        w = 1 + step * (unit == code)
        change = (metric.value(y, s, w) - metric.value(y, s, np.ones_like(y))) / step
        assert change == pytest.approx(sums[code], rel=1e-2, abs=1e-6)


@pytest.mark.parametrize("name", ["macro_f1", "macro_auc"])
def test_a_claim_about_every_class_is_undecided_without_one(name: str) -> None:
    y, _, _ = rows()
    without = rows_panel(y=np.where(y == 3, 0.0, y))
    test = without.tested(parse(f"{name}(candidate) > 0.1").terms, constant=0.1, sign=">")
    assert test.note == f"no row of top: {name} is undefined"
    assert not test.is_defined
    assert rows_panel().tested(parse(f"{name}(candidate) > 0.1").terms, constant=0.1, sign=">").p_proof < 1e-6


def test_a_window_with_too_few_rows_of_a_class_names_it() -> None:
    y = rows()[0]
    count = int((y == 3).sum())
    assert rows_panel().lacks(MinimumSpec(per_class=count)) == ""
    assert rows_panel().lacks(MinimumSpec(per_class=count + 1)) == f"{count} of class top (at least {count + 1})"


def test_two_models_disagree_where_their_most_probable_classes_differ() -> None:
    of = rows_panel()
    apart = of.scores["candidate"].argmax(axis=1) != of.scores["champion"].argmax(axis=1)
    assert of.measured(parse("disagreement(candidate, champion) < 1").terms).value == pytest.approx(apart.mean())


def test_a_label_that_is_none_of_the_classes_is_refused() -> None:
    y, s, unit = rows()
    with pytest.raises(MetricError, match="label: 7 is none of the 4 classes"):
        estimate(MULTICLASS["accuracy"], np.where(y == 3, 7.0, y), s, unit)
    with pytest.raises(MetricError, match="has a column for each"):
        estimate(MULTICLASS["accuracy"], y, s[:, 0], unit)


def measured_rows() -> Evaluation:
    y, s, unit = rows()
    scores = {"candidate": s, "champion": s[:, [1, 0, 2, 3]]}
    slices = {"place": ["a" if code % 2 else "b" for code in unit]}
    return evaluate(task="multiclass", y=y, scores=scores, unit=unit, slices=slices, classes=CLASSES)


def test_an_evaluation_of_several_classes_has_their_confusion_matrix_and_travels_whole() -> None:
    y, s, _ = rows()
    evaluation = measured_rows()
    matrix = oracle.confusion_matrix(y, s.argmax(axis=1))
    assert evaluation.confusion["candidate"] == {f"{a},{b}": matrix[a, b] for a in range(4) for b in range(4)}
    assert [metric.metric for metric in evaluation.overall] == list(MULTICLASS)
    assert Evaluation.from_dict(evaluation.to_dict()) == evaluation
    assert {part.level for part in evaluation.slices} == {"a", "b"}


def test_the_pictures_of_several_classes_are_drawn() -> None:
    drawn = plots(measured_rows())
    assert set(drawn) == {"confusion_matrix", "calibration", "score_distribution", "slices"}
    assert all(name.encode() in drawn["confusion_matrix"] for name in CLASSES)


def test_scores_are_one_column_for_each_class_and_come_back_as_they_were() -> None:
    scores = rows()[1]
    frame = pl.DataFrame(score_columns.as_columns("candidate", scores, CLASSES))
    assert frame.columns == ["candidate: low", "candidate: middle", "candidate: high", "candidate: top"]
    assert np.array_equal(score_columns.of_columns(frame, "candidate", CLASSES), scores)
    assert score_columns.shown(scores, CLASSES)[0] == CLASSES[scores[0].argmax()]


def test_a_class_that_a_release_does_not_know_has_the_probability_0() -> None:
    scores = rows()[1]
    wanted = ("top", "new", "low")
    aligned = score_columns.aligned(scores, own=CLASSES, wanted=wanted)
    assert np.array_equal(aligned, np.column_stack([scores[:, 3], np.zeros(len(scores)), scores[:, 0]]))


def test_the_small_confusion_matrix_has_a_row_for_each_class() -> None:
    evaluation = measured_rows()
    text = confusion(evaluation.confusion["candidate"], evaluation.classes)
    first = [evaluation.confusion["candidate"][f"0,{decided}"] for decided in range(4)]
    assert f"|actual low|{'|'.join(map(str, first))}|" in text
