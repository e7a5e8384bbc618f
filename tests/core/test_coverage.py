"""Outcomes that are missing leave the question open, however good the rest looks."""

from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from ml_assets.core.evaluation.coverage import lacking
from ml_assets.spec.product import Product
from tests.support.gated import product as gated


@pytest.fixture
def product(tmp_path: Path) -> Product:
    return gated(tmp_path)


def days(product: Product, missing: dict[int, float], *, count: int = 30, rows: int = 100, usual: float = 0.0) -> pl.DataFrame:
    """Days of as many rows, of which a share has no outcome: `usual`, or what is given for a day."""
    start, names = datetime(2013, 1, 1), product.features
    labels, times = [], []
    for day in range(count):
        unknown = round(missing.get(day, usual) * rows)
        labels += [None] * unknown + [0] * (rows - unknown)
        times += [start + timedelta(days=day)] * rows
    return pl.DataFrame({names.label: labels, names.time: times}, schema_overrides={names.label: pl.Int64})


def test_a_window_whose_outcomes_are_known_lacks_nothing(product: Product) -> None:
    assert lacking(days(product, {}), days(product, {}), product=product) == ""


def test_one_short_day_is_taken_and_four_of_thirty_are_not(product: Product) -> None:
    before = days(product, {})
    assert lacking(days(product, {3: 0.5}), before, product=product) == ""
    doubt = lacking(days(product, dict.fromkeys((3, 9, 10, 20), 0.2)), before, product=product)
    assert doubt.startswith("4 of 30 days have a known ")
    assert "2013-01-04, 2013-01-10" in doubt


def test_what_is_usually_missing_may_be_missing(product: Product) -> None:
    usual = days(product, {}, usual=0.2)
    assert lacking(usual, usual, product=product) == ""
    assert "26% of the rows have no known" in lacking(days(product, {}, usual=0.26), usual, product=product)
    assert lacking(days(product, {}, usual=0.24), usual, product=product) == ""


def test_without_anything_before_it_a_window_has_to_be_complete(product: Product) -> None:
    assert "6% of the rows" in lacking(days(product, {}, usual=0.06), days(product, {}).clear(), product=product)
