"""Candidate and champion on the same rows: what an evaluation holds and how it travels."""

import json
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, roc_auc_score

from ml_assets.core.evaluation.comparison import evaluate
from ml_assets.core.evaluation.result import Evaluation
from ml_assets.core.metrics.estimates import MetricError
from tests.support.scored import regression_rows, rows, without_champion

BASE = ["roc_auc", "pr_auc", "log_loss", "brier", "calibration_error", "calibration_gap"]
METRICS = [*BASE, "accuracy", "selection_rate", "tpr", "fpr"]


def test_every_metric_is_there_for_both_models_with_their_paired_difference() -> None:
    evaluation = evaluate(**rows())
    assert [comparison.metric for comparison in evaluation.overall] == METRICS
    for comparison in evaluation.overall:
        assert comparison.champion is not None
        assert comparison.difference is not None
        assert comparison.difference.value == pytest.approx(comparison.candidate.value - comparison.champion.value)
        assert comparison.difference.low <= comparison.difference.value <= comparison.difference.high
    assert (evaluation.rows, evaluation.units) == (3000, 30)


def test_a_paired_difference_is_known_better_than_either_model() -> None:
    given = rows()
    given["scores"]["champion"] = np.clip(given["scores"]["candidate"] * 0.99, 0, 1)
    slice_ = evaluate(**given).comparison("brier")
    assert slice_ is not None
    assert slice_.difference is not None
    assert slice_.difference.high - slice_.difference.low < 0.1 * (slice_.candidate.high - slice_.candidate.low)


def test_a_first_release_has_no_champion_and_no_difference() -> None:
    evaluation = evaluate(**without_champion(rows()))
    assert not evaluation.has_champion
    assert all(set(comparison.estimates) == {"candidate"} for comparison in evaluation.overall)
    assert "first release" in evaluation.summary_markdown()


def test_every_level_is_a_slice_and_the_largest_comes_first() -> None:
    given = rows()
    evaluation = evaluate(**given)
    assert [(slice_.column, slice_.level) for slice_ in evaluation.slices][:3] == [
        ("carrier", "UA"),
        ("carrier", "AA"),
        ("carrier", "B6"),
    ]
    assert {slice_.level for slice_ in evaluation.slices[3:]} == {"JFK", "LGA"}
    for column in ("carrier", "origin"):
        assert sum(slice_.rows for slice_ in evaluation.slices if slice_.column == column) == evaluation.rows
        assert sum(slice_.positives or 0 for slice_ in evaluation.slices if slice_.column == column) == evaluation.positives
    is_ua = given["slices"]["carrier"] == "UA"
    expected = roc_auc_score(given["y"][is_ua], given["scores"]["candidate"][is_ua])
    assert evaluation.slices[0].comparisons[0].candidate.value == pytest.approx(expected)


def test_the_slice_table_has_a_column_per_metric_and_model() -> None:
    table = evaluate(**rows()).slice_table()
    assert table.height == 5
    assert table.columns[:4] == ["column", "level", "rows", "positives"]
    for model in ("candidate", "champion", "difference"):
        assert {f"roc_auc_{model}", f"roc_auc_{model}_low", f"roc_auc_{model}_high"} <= set(table.columns)


def test_a_slice_in_which_every_value_is_missing_is_one_level() -> None:
    given = rows() | {"slices": {"dest": [None] * 3000}}
    assert [(slice_.level, slice_.rows) for slice_ in evaluate(**given).slices] == [("(missing)", 3000)]


@pytest.mark.parametrize("values", [None, []])
def test_a_declared_slice_that_is_not_there_is_an_error_that_names_it(values: list[None] | None) -> None:
    given = rows()
    given["slices"]["dest"] = values
    with pytest.raises(MetricError, match="slice dest"):
        evaluate(**given)


def test_rows_without_a_level_are_a_slice_of_their_own() -> None:
    given = rows() | {"slices": {"carrier": ["UA"] * 1500 + [None] * 1500}}
    assert {slice_.level for slice_ in evaluate(**given).slices} == {"UA", "(missing)"}


def test_a_slice_of_one_class_is_there_with_a_note_instead_of_a_value() -> None:
    given = rows()
    given["slices"] = {"known": np.where(given["y"] == 1, "yes", "no")}
    evaluation = evaluate(**given)
    assert [slice_.positives for slice_ in evaluation.slices] == [0, evaluation.positives]
    assert "only negatives" in evaluation.slices[0].comparisons[0].candidate.note
    assert evaluation.slice_table()["roc_auc_candidate"].to_list() == [None, None]


def test_the_confusion_counts_are_those_of_scikit_learn() -> None:
    given = rows()
    counts = evaluate(**given).confusion["candidate"]
    expected = confusion_matrix(given["y"], given["scores"]["candidate"] >= 0.3).ravel().tolist()
    assert [counts[name] for name in ("true_negative", "false_positive", "false_negative", "true_positive")] == expected


@pytest.mark.parametrize("given", [rows(), without_champion(rows()), regression_rows()])
def test_an_evaluation_is_json_without_nan_and_with_few_points(given: dict[str, Any]) -> None:
    evaluation = evaluate(**given)
    again = json.loads(json.dumps(evaluation.to_dict(), allow_nan=False))
    assert again["overall"][0]["candidate"]["value"] == evaluation.overall[0].candidate.value
    for models in again["curves"].values():
        assert all(0 < len(curve["x"]) <= 101 for curve in models.values())


def test_what_is_undefined_is_null_in_json_and_says_why() -> None:
    given = rows() | {"y": np.zeros(3000)}
    evaluation = evaluate(**given).to_dict()
    json.dumps(evaluation, allow_nan=False)
    assert evaluation["overall"][0]["candidate"] == pytest.approx(
        {
            "value": None,
            "low": None,
            "high": None,
            "units": 30,
            "rows": 3000,
            "note": "only negatives: roc_auc is undefined",
        }
    )


def test_the_same_rows_give_the_same_evaluation() -> None:
    assert evaluate(**rows()).to_dict() == evaluate(**rows()).to_dict()


def test_the_area_under_the_thinned_roc_curve_is_still_the_auc() -> None:
    evaluation = evaluate(**rows())
    curve = evaluation.curves.points["roc"]["candidate"]
    assert np.trapezoid(curve.y, curve.x) == pytest.approx(evaluation.overall[0].candidate.value, abs=0.003)


def test_residuals_over_many_units_are_averaged_in_runs_in_their_order() -> None:
    curve = evaluate(**regression_rows()).curves.points["residuals_by_unit"]["champion"]
    assert len(curve.x) == 100
    assert [int(x) for x in curve.x] == sorted(int(x) for x in curve.x)
    assert np.mean(curve.y) == pytest.approx(0.5, abs=0.1)


def test_the_summary_is_a_table_that_says_which_way_is_better() -> None:
    text = evaluate(**rows()).summary_markdown()
    assert "| metric | candidate | champion | difference |" in text
    assert "roc_auc (higher is better)" in text
    assert "30 independent units" in text
    assert "carrier = `UA`" in text


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        ({"champion": [0.5] * 3000}, "expected candidate"),
        ({"candidate": [0.5] * 3000, "anchor": [0.5] * 3000}, "expected candidate"),
        ({"candidate": [0.5] * 3000, "champion": [0.5] * 2999}, "champion"),
        ({"candidate": [0.5] * 3000, "champion": [float("nan")] * 3000}, "champion"),
    ],
)
def test_scores_that_do_not_fit_the_rows_are_an_error_that_names_the_model(scores: dict[str, list[float]], words: str) -> None:
    with pytest.raises(MetricError, match=words):
        evaluate(**rows() | {"scores": scores})


def test_thirty_slices_of_thirty_thousand_rows_are_each_judged() -> None:
    random = np.random.default_rng(0)
    given = rows(30_000) | {"slices": {name: random.integers(0, 10, 30_000).astype(str) for name in ("a", "b", "c")}}
    evaluation: Evaluation = evaluate(**given)
    assert len(evaluation.slices) == 30
