"""A draft of several classes: its profile page, and rare classes that windows lack."""

import re
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from ml_assets.services.new_product.summary import summary
from tests.support.drafting import written

CLASSES = ("blue", "green", "red")


def rows(count: int, *, rare: int = 0) -> pl.DataFrame:
    """Three classes by a number `x`, and a rare one in the first rows."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=count)
    label = np.array(CLASSES)[np.digitize(x + rng.normal(0, 0.5, count), [-0.5, 0.7])].astype(object)
    label[:rare] = "white"
    at = [datetime(2023, 1, 1) + timedelta(days=int(day)) for day in np.sort(rng.integers(0, 360, count))]
    return pl.DataFrame({"at": at, "x": x.round(3), "label": label.astype(str)})


def test_the_profile_shows_the_share_of_each_class_in_each_delivery_and_the_first_release(tmp_path: Path) -> None:
    product = written(tmp_path, rows(3000))
    page = product.history.profile.read_text(encoding="utf-8")
    captions = [re.findall(rf"<title>[^<]*: ([0-9.]+)% {name}</title>", page) for name in CLASSES]
    sums = np.array(captions, dtype=float).sum(axis=0)
    assert len(sums) == len(product.draft.history.keys)
    assert np.allclose(sums, 100, atol=0.2)
    assert "one of blue, green, red" in page
    assert f"the first release comes with {product.plan.release.delivery if product.plan.release else ''}" in page
    assert "better than the shares of the classes" in page


def test_each_delivery_of_a_table_without_a_time_has_its_own_mean(tmp_path: Path) -> None:
    table = rows(600).with_columns(label=pl.col("x") * 3 + 7 + pl.int_range(600) % 5).drop("at")
    page = written(tmp_path, table).history.profile.read_text("utf-8")
    means = [float(mean) for mean in re.findall(r"<title>000[12]: ([0-9.]+)</title>", page)]
    assert len(means) == 2
    assert all(8 < mean < 10 for mean in means)


def test_a_class_that_windows_lack_is_named_with_what_to_do(tmp_path: Path) -> None:
    lines = summary(written(tmp_path, rows(2000, rare=12)))
    assert "label is white in 12 rows, and some windows have fewer than 5 of a class" in lines
    assert "ends without a release: the test window holds too little to decide: 0 of class white (at least 5)" in lines
