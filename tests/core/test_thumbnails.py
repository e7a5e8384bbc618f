"""Small pictures: under the UI's limit whatever the data, well-formed, and true to the points."""

import urllib.parse
import xml.etree.ElementTree as ET
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ml_assets.core.lineage.facts import EstimateFacts
from ml_assets.core.plots.thumbnails import INLINE, PICTURES, comparison, confusion, table, thumbnail

finite = st.floats(-1e9, 1e9)
points = st.lists(st.tuples(finite, finite), min_size=1, max_size=150)


def svg_of(markdown: str) -> ET.Element:
    prefix = "](data:image/svg+xml,"
    return ET.fromstring(urllib.parse.unquote(markdown[markdown.index(prefix) + len(prefix) : -1]))


def curve(pairs: list[tuple[float, float]]) -> dict[str, list[float]]:
    return {"x": [x for x, _ in pairs], "y": [y for _, y in pairs]}


@given(st.sampled_from(sorted(PICTURES)), points, points)
def test_any_two_curves_fit_and_are_well_formed(
    name: str, one: list[tuple[float, float]], other: list[tuple[float, float]]
) -> None:
    drawn = thumbnail(name, {"candidate": curve(one), "champion": curve(other)})
    assert drawn is not None
    assert len(drawn) < INLINE
    assert len(svg_of(drawn).findall("{http://www.w3.org/2000/svg}path")) == 3


def test_a_straight_roc_goes_from_corner_to_corner() -> None:
    drawn = thumbnail("roc", {"candidate": curve([(0, 0), (0.5, 0.5), (1, 1)])})
    assert drawn is not None
    assert "M0,70L66,35L132,0" in urllib.parse.unquote(drawn)


def test_a_histogram_is_drawn_as_steps() -> None:
    drawn = thumbnail("score_distribution", {"candidate": {"x": [0, 0.5, 1], "y": [0.25, 0.75]}})
    assert drawn is not None
    assert "M0,47H66V0H132" in urllib.parse.unquote(drawn)


def test_a_time_axis_of_labels_is_numbered() -> None:
    labels: dict[str, Any] = {"x": ["2013-01-01", "2013-01-02"], "y": [1.0, -1.0]}
    assert "unit, 0 to 1" in urllib.parse.unquote(thumbnail("residuals_by_unit", {"candidate": labels}) or "")


def test_without_curves_there_is_no_picture() -> None:
    assert thumbnail("roc", {}) is None


def test_tables_are_cut_at_the_limit_and_keep_their_head() -> None:
    long = table(["feature", "%"], [[f"feature_{n}", n] for n in range(500)])
    assert len(long) < INLINE
    assert long.splitlines()[:3] == ["|feature|%|", "|-|-|", "|feature_0|0|"]


def test_the_comparison_shows_the_difference_with_its_interval() -> None:
    measured = {
        "candidate": EstimateFacts(value=0.75, low=0.7, high=0.8),
        "champion": EstimateFacts(value=0.7),
        "difference": EstimateFacts(value=0.05, low=-0.01, high=0.11),
    }
    assert "|roc_auc|0.7500|0.7000|+0.0500 [-0.010, +0.110]|" in comparison({"roc_auc": measured}, order=["roc_auc"])
    first = {"candidate": EstimateFacts()}
    assert "|roc_auc|-|-|-|" in comparison({"roc_auc": first}, order=["roc_auc"])


def test_the_confusion_matrix_counts_actual_by_row() -> None:
    counts = {"true_negative": 1000, "false_positive": 2, "false_negative": 3, "true_positive": 4}
    assert confusion(counts).splitlines()[2:] == ["|actual no|1,000|2|", "|actual yes|3|4|"]
