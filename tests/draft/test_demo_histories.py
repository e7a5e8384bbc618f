"""A history that reaches to this day is replayed up to the last partition that is over."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from ml_assets.services.new_product.demo_histories import NoHistory, history_of
from ml_assets.spec.product import Product, load
from tests.support.homes.shop import DAYS, SHOP, csv_bytes, rows


def endless() -> Product:
    product = load(SHOP)
    return product.model_copy(update={"partitions": product.partitions.model_copy(update={"end": None})})


def keep(home: Path, *days: str) -> None:
    for day in days:
        file = home / "history" / "shop" / "orders" / f"{day}.csv"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(csv_bytes(rows(day)))


def test_a_day_that_lasts_on_is_left_out_with_the_reason(tmp_path: Path) -> None:
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    keep(tmp_path, *DAYS[:2], today)
    history = history_of(endless(), tmp_path)
    assert history.keys == list(DAYS[:2])
    assert list(history.unfinished) == [today]
    assert history.unfinished[today].startswith("not finished yet: it ends at ")


def test_a_history_of_which_nothing_is_over_is_refused(tmp_path: Path) -> None:
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    keep(tmp_path, today)
    with pytest.raises(NoHistory, match=rf"shop: {today} is not finished yet: it ends at .* replays partitions that are over"):
        history_of(endless(), tmp_path)
