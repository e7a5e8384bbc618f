"""A verdict as a picture and a table: every claim on the side of its limit that its numbers are on."""

from typing import Any

import msgspec
import pytest

from ml_assets.core.lineage.verdict_facts import VerdictFacts
from ml_assets.core.plots.gates import claims_plot, claims_table, claims_thumbnail, drawn
from ml_assets.core.plots.thumbnails import INLINE


def claim(name: str = "floor", **change: Any) -> dict[str, Any]:
    numbers = {"estimate": 0.7, "standard_error": 0.01, "low": 0.67, "high": 0.72, "limit": 0.6, "sign": ">"}
    return {"name": name, "kind": "prove", "text": "roc_auc(candidate) > 0.6", "outcome": "PASS", **numbers} | change


def verdict(*claims: dict[str, Any]) -> VerdictFacts:
    return msgspec.convert({"decision": "ACCEPT", "claims": claims}, VerdictFacts)


def test_bounds_are_drawn_where_they_are_in_standard_errors_and_the_good_side_is_right() -> None:
    above, below = drawn(verdict(claim(), claim(sign="<", limit=0.75)))
    assert (above.bad, above.distance, above.good) == pytest.approx((7, 10, 12))
    assert (below.bad, below.distance, below.good) == pytest.approx((3, 5, 8))


def test_a_ratio_is_drawn_on_the_log_scale_and_what_was_not_measured_is_not_drawn() -> None:
    (ratio,) = drawn(
        verdict(
            claim(text="ratio(tpr, by: origin) > 0.8", estimate=1.0, low=0.9, high=1.1, limit=0.8, standard_error=0.1),
            claim(estimate=None),
            claim(standard_error=None),
            claim(text="ratio(tpr, by: origin) > 0", limit=0.0),
        )
    )
    assert ratio.distance == pytest.approx(2.23, abs=0.01)
    assert 0 < ratio.bad < ratio.distance < ratio.good
    assert claims_plot(verdict(claim(estimate=None))) is None
    assert claims_thumbnail(verdict(claim(estimate=None))) is None


def test_eight_claims_fit_where_dagster_shows_them_and_name_their_outcome() -> None:
    eight = verdict(*(claim(f"claim_{n}", outcome=("PASS", "FAIL", "UNDECIDED")[n % 3]) for n in range(8)))
    small, table = claims_thumbnail(eight), claims_table(eight)
    assert small is not None
    assert len(small) < INLINE
    assert "edge%20at%20" in (claims_thumbnail(verdict(claim())) or ""), "its axis is named where that fits"
    assert len(table) < INLINE
    for text in ("claim_7", "✓ proven", "✗ disproven", "? undecided", "> 0.6"):
        assert text in table
    picture = claims_plot(eight)
    assert picture is not None
    assert b"claim_0" in picture
