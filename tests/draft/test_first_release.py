"""When a drafted product has its first release: as `new` tries it on the history, window after window."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ml_assets.core.draft.drafting import planned
from ml_assets.services.new_product.summary import summary
from tests.support.drafting import written


def rows(count: int, *, days: int, strength: float, season: float = 0.0) -> pl.DataFrame:
    """Yes and no by a number `x`, the more surely the stronger; with a season hardly any yes in winter."""
    rng = np.random.default_rng(3)
    day = np.sort(rng.integers(0, days, count))
    x = rng.normal(size=count)
    score = strength * x + season * np.sin(2 * np.pi * (day - 80) / 365)
    label = rng.random(count) < 1 / (1 + np.exp(-score))
    at = [datetime(2021, 1, 1) + timedelta(days=int(number)) for number in day]
    return pl.DataFrame({"at": at, "x": x.round(3), "noise": rng.normal(size=count).round(3), "label": label})


def test_the_first_candidate_is_as_early_as_a_window_of_the_history_decides(tmp_path: Path) -> None:
    product = written(tmp_path, rows(1400, days=1095, strength=2.0, season=2.5))
    plan = product.plan
    assert plan.release
    assert plan.release.number == plan.windows.minimum + plan.windows.test
    assert plan.release.number <= len(plan.windows.keys) / 2
    assert f"release   the first with {plan.release.delivery}" in summary(product)
    assert f"# First release in a replay of this history: with {plan.release.delivery}." in product.folder.joinpath(
        "product.yaml"
    ).read_text(encoding="utf-8")


def test_windows_are_longer_where_the_usual_ones_never_have_a_release(tmp_path: Path) -> None:
    weak = rows(2400, days=280, strength=0.35)
    product = written(tmp_path, weak, every="week")
    plan = product.plan
    assert plan.release
    assert plan.release.number
    assert plan.windows.test > planned(product.draft).windows.test, summary(product)


def test_a_table_that_decides_nothing_is_told_so_with_the_reasons(tmp_path: Path) -> None:
    product = written(tmp_path, rows(900, days=700, strength=0.0))
    lines = summary(product)
    assert not product.plan.decides
    assert "release   none in this history" in lines
    assert "a replay of this history ends without a release: beats_simple: " in lines


@pytest.mark.parametrize("group", [None, "person"])
def test_folds_of_a_table_without_a_time_are_as_few_as_the_first_needs(group: str | None, tmp_path: Path) -> None:
    table = rows(1500, days=10, strength=0.35).drop("at").with_columns(person=pl.int_range(1500) // 3)
    product = written(tmp_path, table, group=group)
    plan = product.plan
    assert plan.release
    assert plan.release.delivery == "delivery 1", summary(product)


def test_hotel_one_timestamp_months_of_which_all_rows_have_one_date_have_a_release(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    months = [datetime(2020 + number // 12, number % 12 + 1, 1) for number in range(24)]
    lead, kind = rng.integers(0, 300, 24 * 60), rng.choice(["contract", "group", "transient"], 24 * 60)
    price = 60 + 0.2 * lead + 15 * (kind == "group") + rng.normal(0, 8, 24 * 60)
    frame = pl.DataFrame({"arrival": [month for month in months for _ in range(60)], "lead": lead, "kind": kind})
    product = written(tmp_path, frame.with_columns(label=pl.Series(price.round(2))))
    assert product.draft.history.every == "month"
    assert product.plan.release
    assert 0 < product.plan.release.number <= 12, summary(product)
