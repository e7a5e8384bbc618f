"""What goes together with how data arrives is refused on load where it does not, with the line and what is allowed."""

import re
from pathlib import Path

import pytest

from ml_assets.spec.partitions import PartitionSpec
from ml_assets.spec.product import ProductError, load
from tests.support.homes.loans import LOANS
from tests.support.homes.shop import SHOP

STATIC = LOANS / "product.yaml"
DAILY = SHOP / "product.yaml"


def refusal(folder: Path, spec: Path, *edits: tuple[str, str]) -> str:
    text = spec.read_text()
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new, 1)
    product = folder / spec.parent.name
    product.mkdir()
    (product / "product.yaml").write_text(text)
    (product / "contract.py").write_bytes((spec.parent / "contract.py").read_bytes())
    with pytest.raises(ProductError) as caught:
        load(product)
    return str(caught.value)


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (("every: delivery", "every: delivery, start: 0001-01"), "partitions.start: deliveries are numbered from 0001 on"),
        (("every: delivery", 'every: delivery, end: "0009"'), "partitions.end: deliveries are numbered from 0001 on"),
        (("format: csv", "format: csv, time: paid_at"), "tables.loans.time: each delivery is the whole table"),
        (("label: is_late", "label: is_late, lookback: 1"), "lookback: each delivery is in the place of the one before"),
        (("folds: 4", "folds: 4, group: city"), "group: 'city' is not part of features.key; allowed: loan_id"),
        (("folds: 4", "folds: 0"), "split.folds: input should be greater than or equal to 1"),
        (("split:", "window: {train: 1, test: 1, minimum: 1}\nsplit:"), "window: a delivery is trained and tested on"),
        (("unit: row", "unit: day"), "unit: the split divides single rows; found 'day', allowed: row"),
        (("title:", "landing: {late: 48}\ntitle:"), "late: nothing says when the next delivery is due"),
    ],
)  # fmt: skip
def test_a_static_table_has_no_time(tmp_path: Path, edit: tuple[str, str], says: str) -> None:
    assert says in refusal(tmp_path, STATIC, edit)


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        ((", start: 2024-03-01, end: 2024-04-01", ""), "start is missing: the key of the first day, such as 2013-01-01"),
        ((", time: placed_at}\n\nfeatures", "}\n\nfeatures"), "tables.orders.time: the key is missing"),
        (("time: placed_at, label", "label"), "time: the key is missing; it names the column that says when a question is asked"),
        (("window: {train: 3, test: 1, minimum: 1}\n", ""), "window: the key is missing; such as `window: {train: 12"),
        (("window:", "split: {folds: 9}\nwindow:"), "a partition by day is first tested on, then trained on"),
    ],
)  # fmt: skip
def test_slices_of_time_need_columns_of_time_and_a_window(tmp_path: Path, edit: tuple[str, str], says: str) -> None:
    assert says in refusal(tmp_path, DAILY, edit)


def test_rows_that_the_split_keeps_together_are_the_unit_of_the_gates(tmp_path: Path) -> None:
    grouped = (("folds: 4", "folds: 4, group: city"), ("key: [loan_id]", "key: [city, loan_id]"))
    message = refusal(tmp_path, STATIC, *grouped)
    assert re.search(r"product.yaml:\d+: gates: unit: the split keeps the rows of one city together", message)


def test_a_year_needs_no_quotes() -> None:
    spec = PartitionSpec.model_validate({"every": "year", "start": 2019, "end": 2024})
    assert (spec.start, spec.end) == ("2019", "2024")
