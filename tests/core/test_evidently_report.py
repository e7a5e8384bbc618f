"""The Evidently report: one file, no network, a declared sample."""

import re
import socket
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from ml_assets.core.evaluation.evidently_report import ColumnShift, ReportError, drift_report, quality_report
from ml_assets.core.evaluation.packed_page import packed, unpacked
from ml_assets.core.metrics.arrays import Task

pytestmark = pytest.mark.long
MOVED = {
    "distance": ColumnShift(0.31, 0.40, exceeds=False),
    "wind": ColumnShift(0.2718, 0.11, exceeds=True),
    "carrier": ColumnShift(0.01, 0.02, exceeds=False),
    "never": ColumnShift(0.0, 0.0, exceeds=False),
    "wind beside distance": ColumnShift(0.5, 0.1, exceeds=True),
}
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


def quality(task: Task, *, rows: int = 300, max_rows: int = 200) -> str:
    names = {"label": "label", "score": "score", "title": "flights <2013-12>"}
    sides = frame(rows), frame(150, seed=1)
    return unpacked(quality_report(*sides, task=task, max_rows=max_rows, left_out=["the claims (Gone)"], **names))


def drift(*, rows: int = 300, max_rows: int = 200) -> str:
    columns = {"numeric": NUMERIC, "categorical": CATEGORICAL}
    sides = frame(rows), frame(150, seed=1)
    options = {"title": "flights <2013-12>", "verdict": "watch: wind", "moved": MOVED}
    return unpacked(drift_report(*sides, max_rows=max_rows, **options, **columns))


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise AssertionError(f"a report must not open a connection: {args[1:]}")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (lambda: quality("binary"), ["Classification Model Performance", "Confusion Matrix"]),
        (lambda: quality("regression"), ["Regression Model Performance", "Error Distribution"]),
        (drift, ["Dataset Drift", "carrier", "watch: wind"]),
    ],
    ids=["binary", "regression", "drift"],
)
def test_a_report_is_one_page_that_loads_nothing(page: Callable[[], str], words: list[str]) -> None:
    html = page()
    assert all(word in html for word in words)
    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=[\"']?https?:", html)
    assert "<title>flights &lt;2013-12&gt;</title>" in html


def test_a_report_says_what_was_drawn_and_what_was_left_out() -> None:
    assert "all 150 current rows; a sample of 200 of 300 reference rows; could not be drawn: the claims (Gone)" in quality(
        "regression"
    )
    assert "could not be drawn: never (no values)" in drift()


@pytest.mark.parametrize("before", ["abc", "ab", "bc", "b"])
@pytest.mark.parametrize("now", ["abc", "ab", "b"])
def test_a_window_that_lacks_some_of_several_classes_is_drawn(now: str, before: str) -> None:
    html = unpacked(quality_report(_classes(before), _classes(now), task="multiclass", label="label", score="score"))
    assert "Confusion Matrix" in html
    assert "the quality of the model" not in html


def _classes(occur: str) -> pl.DataFrame:
    """Rows in which only these classes were answered and came true."""
    random = np.random.default_rng(3)
    return pl.DataFrame({name: random.choice([*occur], 90) for name in ("label", "score")})


@pytest.mark.parametrize(("broken", "words"), [(frame(50).drop("score"), "score"), (frame(50).head(0), "no rows")])
def test_frames_that_cannot_be_reported_are_an_error(broken: pl.DataFrame, words: str) -> None:
    with pytest.raises(ReportError, match=words):
        quality_report(frame(50), broken, task="binary", label="label", score="score")


def test_a_page_is_kept_compressed_and_is_itself_again_when_it_is_unpacked() -> None:
    html = f"<html><body>{'<p>straße & more</p>' * 5000}</body></html>"
    page = packed(html, title="flights <1>", heading="<h1>flights</h1>")
    assert unpacked(page) == html
    assert len(page) < len(html) / 20
    assert b"<title>flights &lt;1&gt;</title>" in page
    assert unpacked(b"<html>small</html>") == "<html>small</html>"


def test_an_evidently_page_weighs_a_third_of_what_it_did() -> None:
    frames = frame(300), frame(150, seed=1)
    page = quality_report(*frames, task="binary", label="label", score="score")
    assert len(page) < 1_700_000 < len(unpacked(page)) / 2


def test_evidently_says_of_each_column_what_the_verdict_says() -> None:
    html = drift()
    assert "Drift is detected for 33.333% of columns (1 out of 3)" in html, (
        "of distance, wind and carrier only wind moved too much"
    )
    assert "Dataset Drift is detected" in html
    assert "0.2718" in html
    assert "Wasserstein" not in html, "no limit of Evidently's own"
    assert "is_weekend (no verdict)" in html
    assert "not a column by itself: wind beside distance" in html
