"""The Evidently report: one file, no network, a declared sample."""

import re
import socket

import numpy as np
import polars as pl
import pytest

from ml_assets.core.evaluation.evidently_report import ReportError, evidently_report
from ml_assets.core.metrics.arrays import Task

pytestmark = pytest.mark.long
NUMERIC, CATEGORICAL = ["distance", "wind", "never"], ["carrier", "is_weekend"]


def frame(rows: int, seed: int = 0) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "distance": random.gamma(2, 500, rows),
            "wind": random.normal(0, 1, rows),
            "never": pl.Series([None] * rows, dtype=pl.Float64),
            "carrier": random.choice(["UA", "AA"], rows),
            "is_weekend": random.random(rows) < 0.3,
            "label": (random.random(rows) < 0.3).astype(int),
            "score": random.random(rows),
        }
    ).with_columns(wind=pl.when(pl.col("wind") > -1).then("wind"))


def report(task: Task, *, rows: int = 300, max_rows: int = 200) -> str:
    return evidently_report(
        frame(rows),
        frame(150, seed=1),
        task=task,
        label="label",
        score="score",
        numeric=NUMERIC,
        categorical=CATEGORICAL,
        title="flights <2013-12>",
        max_rows=max_rows,
        left_out=["the claims (Gone)"],
    ).decode()


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise AssertionError(f"a report must not open a connection: {args[1:]}")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("binary", ["Dataset Drift", "Classification Model Performance", "Confusion Matrix"]),
        ("regression", ["Dataset Drift", "Regression Model Performance", "Error Distribution"]),
    ],
)
def test_a_report_is_one_page_with_drift_and_quality_that_loads_nothing(task: Task, words: list[str]) -> None:
    html = report(task)
    assert all(word in html for word in words)
    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=[\"']?https?:", html)
    assert "<title>flights &lt;2013-12&gt;</title>" in html


def test_a_report_says_what_was_drawn_and_what_was_left_out() -> None:
    html = report("regression")
    assert "all 150 current rows; a sample of 200 of 300 reference rows" in html
    assert "could not be drawn: the claims (Gone), never (no values)" in html


@pytest.mark.parametrize(("broken", "words"), [(frame(50).drop("wind"), "wind"), (frame(50).head(0), "no rows")])
def test_frames_that_cannot_be_reported_are_an_error(broken: pl.DataFrame, words: str) -> None:
    with pytest.raises(ReportError, match=words):
        evidently_report(frame(50), broken, task="binary", label="label", score="score", numeric=["wind"], categorical=[])
