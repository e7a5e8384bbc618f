"""Outcomes and what served: when they are complete, what is estimated without them, and which predictions are about what."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ml_assets.core.changes.rules import RULES
from ml_assets.core.lineage.facts import EstimateFacts, LineFacts, RealisedFacts
from ml_assets.core.metrics.registry import METRICS
from ml_assets.core.outcomes.estimates import calibrated, expected, why_none
from ml_assets.core.outcomes.maturity import immature, is_matured
from ml_assets.core.outcomes.served import about, digest, last_answers
from ml_assets.services.outcomes.pictures import pictures
from ml_assets.services.outcomes.promises import findings
from ml_assets.services.outcomes.scoreboard import cells, estimate_error, shown
from ml_assets.spec.product import Product, ProductError
from tests.support.homes.apart import LABELS, apart

DAY = "2024-03-02"
LATER, SOON = datetime(2024, 4, 2, tzinfo=UTC), datetime(2024, 4, 1, 23, 59, tzinfo=UTC)


@pytest.fixture
def shop(tmp_path: Path) -> Product:
    return apart(tmp_path).product


def line(**changes: object) -> LineFacts:
    metrics = {"roc_auc": EstimateFacts(value=0.7, low=0.6, high=0.8), "value": EstimateFacts(value=1.0, low=0.5, high=1.5)}
    about_it = {"release": "r", "bundle": "b", "source": "batch", "rows": 40, "known": 30, "positives": 10, "metrics": metrics}
    promised = {"promised": {"roc_auc": 0.9, "value": 2.0}, "estimated": {"roc_auc": 0.75}}
    return LineFacts(**{**about_it, **promised, **changes})  # type: ignore[arg-type]


def test_outcomes_are_complete_so_long_after_the_end_of_their_partition(shop: Product) -> None:
    assert is_matured(shop, DAY, LATER)
    assert not is_matured(shop, DAY, SOON)
    assert immature(shop, DAY, SOON) == "came_back of 2024-03-02 is complete at 2024-04-02 00:00 UTC (labels.matures: 30d)"
    assert immature(shop, DAY, LATER) == ""


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        ("labels: {matures: soon}\nwindow: {train", "'soon' is no span of time; write a whole number of hours, days or weeks"),
        ("labels: {absent: negative}\nwindow: {train", "declare `delivered`"),
        ("labels: {delivered: {orders: {format: csv}}}\nwindow: {train", "the name is taken by a table of `delivery`"),
    ],
)
def test_labels_that_cannot_be_meant_are_refused_with_what_to_write(tmp_path: Path, labels: str, why: str) -> None:
    with pytest.raises(ProductError, match=why.replace("(", r"\(")):
        _ = apart(tmp_path, labels=labels).product


def test_a_table_of_outcomes_without_the_label_is_refused(tmp_path: Path) -> None:
    home = apart(tmp_path)
    home.edit("contract.py", (r"    came_back: int = pa.Field\(isin=\[0, 1\]\)\n", ""))
    with pytest.raises(ProductError, match="'came_back' is missing, by which outcomes are joined or known"):
        _ = home.product.contract


def test_waiting_longer_for_outcomes_asks_more_and_shorter_less() -> None:
    rule = RULES["labels.matures"]
    assert [rule("30d", "60d"), rule("30d", "4w"), rule("2w", "14d"), rule(None, "1d")] == [
        "strengthened",
        "weakened",
        "changed",
        "strengthened",
    ]


def test_an_estimate_without_labels_is_right_where_scores_mean_what_they_meant() -> None:
    random = np.random.default_rng(5)
    tested, served = random.random(20_000), random.beta(2, 4, 20_000)
    truth = random.random(20_000) < tested**2  # scores that are not calibrated
    probabilities = calibrated(served, tested=tested, outcomes=truth.astype(np.float64))
    outcomes = (random.random(20_000) < served**2).astype(np.float64)
    for name in ("roc_auc", "brier", "log_loss", "accuracy", "precision"):
        value = expected(METRICS[name], served, probabilities)
        assert value == pytest.approx(METRICS[name].value(outcomes, served, None), abs=0.015), name


def test_an_estimate_does_not_see_that_scores_mean_something_else_by_now() -> None:
    random = np.random.default_rng(5)
    scores = random.random(5_000)
    truth = (random.random(5_000) < scores).astype(np.float64)
    probabilities = calibrated(scores, tested=scores, outcomes=truth)
    noise = (random.random(5_000) < 0.5).astype(np.float64)
    estimated = expected(METRICS["roc_auc"], scores, probabilities)
    assert estimated is not None
    assert estimated - METRICS["roc_auc"].value(noise, scores, None) > 0.25


def test_nothing_is_estimated_by_few_rows_or_of_a_regression() -> None:
    assert why_none("binary", 49).startswith("the test window has 49 rows")
    assert why_none("regression", 10_000)
    assert why_none("binary", 50) == ""


def test_predictions_are_about_questions_by_their_whole_key() -> None:
    questions = pl.DataFrame({"id": [1, 2], "at": pl.Series(["2024-03-02T01:00:00", "2024-03-02T02:00:00"]).str.to_datetime()})
    requests = [
        {"id": 2, "at": "2024-03-02T02:00:00"},
        {"id": 2.0, "at": "2024-03-02T02:00:00"},
        {"id": 2, "at": "2024-03-02T01:00:00"},
    ]
    records = pl.DataFrame(
        {
            "id": ["a", "b", "c"],
            "at": [datetime(2024, 3, 2)] * 3,
            "release": ["r"] * 3,
            "bundle": ["b"] * 3,
            "request": [json.dumps(request) for request in requests],
            "score": [0.1, 0.2, 0.3],
        }
    )
    placed = about(records, questions, key=["id", "at"])
    assert placed.select("id", "row").rows() == [("a", 1), ("b", 1)]
    assert digest(placed) != digest(placed.with_columns(score=pl.col("score") + 1e-9))
    assert digest(placed) == digest(placed.reverse())


def test_answers_of_releases_with_other_classes_are_told_apart_and_put_together() -> None:
    columns = {"id": ["a"], "at": [0], "release": ["r"], "bundle": ["b"], "score": [0.7], "row": [1]}
    batch = pl.DataFrame({**columns, "score: low": [0.7], "score: high": [0.3]})
    endpoint = pl.DataFrame({**columns, "id": ["b"], "score: high": [0.4], "score: low": [0.6], "score: new": [None]})
    others = endpoint.with_columns(bundle=pl.lit("other"), row=pl.lit(2, dtype=pl.Int64))
    last = last_answers({"batch": batch, "endpoint": pl.concat([endpoint, others])}, "b")
    assert last.select("id", "row", "score: low", "score: high").rows() == [("b", 1, 0.6, 0.4)]


def test_a_drop_or_a_loss_of_value_warns_and_a_provisional_figure_says_so(shop: Product) -> None:
    strict = shop.model_copy(update={"monitoring": shop.monitoring.model_copy(update={"max_drop": 0.1})})
    metric, value = findings(strict, DAY, RealisedFacts(lines=(line(),)), LATER)
    assert (metric.passed, metric.severity, value.passed) == (False, "WARN", False)
    assert "roc_auc 0.7000 on 30 outcomes, 0.9000 on its test window, may drop by 0.1" in metric.description
    assert "at most 1.5000; 2.0000 was promised" in value.description
    early, _ = findings(strict, DAY, RealisedFacts(lines=(line(),)), SOON)
    assert early.details["is_provisional"]
    few, unknown = findings(strict, DAY, RealisedFacts(lines=(line(positives=1),)), LATER)
    assert few.passed
    assert unknown.description.startswith("not known yet: too few outcomes came")


def test_where_a_missing_outcome_is_a_no_nothing_is_realised_before_all_are_there(tmp_path: Path) -> None:
    product = apart(tmp_path, labels=LABELS.replace("matures: 30d", "matures: 30d, absent: negative")).product
    assert shown(product, DAY, line(), SOON).value is None
    assert shown(product, DAY, line(), LATER).value == 0.7


def test_pictures_tell_complete_figures_from_provisional_ones_and_from_estimates(shop: Product) -> None:
    drawn = pictures(
        [shown(shop, DAY, line(), LATER), shown(shop, DAY, line(), SOON), shown(shop, DAY, line(metrics=None), SOON)]
    )
    assert set(drawn) == {"roc_auc_batch", "value_batch"}
    text = drawn["roc_auc_batch"].decode()
    for words in ("realised so far", "promised on the test window", "estimate without labels", DAY):
        assert words in text, words
    assert "estimate" not in drawn["value_batch"].decode(), "none was made of the value"


def test_estimates_are_marked_and_their_error_is_that_of_complete_partitions(shop: Product) -> None:
    done, early = shown(shop, DAY, line(), LATER), shown(shop, DAY, line(metrics=None), SOON)
    assert "0.7500 (no labels)" in cells(early)
    assert "not known yet" in cells(early)
    assert estimate_error([done, early]) == (pytest.approx(0.05), 1)
    assert estimate_error([early]) is None
