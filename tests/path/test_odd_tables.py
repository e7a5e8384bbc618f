"""Ordinary tables of odd shapes go down the path: taken, or withheld with the reason, and no later partition is blocked."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.homes.path_homes import Home, blank_pages
from tests.support.homes.shop import DAYS, csv_bytes, deliver, rows, shop

FIRST, SECOND, THIRD, FOURTH = DAYS
NULLABLE_CITY = ("    city: str\n", "    city: str = pa.Field(nullable=True)\n")


def bool_items(text: str) -> tuple[str, str]:
    return r"    items: int = pa.Field\(nullable=True\)", f"    items: {text} = pa.Field(nullable=True)"


def label(kind: str) -> tuple[str, str]:
    return r"came_back: int = pa.Field\(nullable=True, isin=\[0, 1\], ", f"came_back: {kind} = pa.Field(nullable=True, "


def went(home: Home, *days: str) -> None:
    """Run the days one after another; each must succeed."""
    for day in days:
        with blank_pages():
            run = home.run(day)
        assert run.success, (day, run.errors, {claim: run.descriptions[claim] for claim in run.failed_checks})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.mark.long
def test_a_missing_text_is_a_category_of_its_own_in_training_and_in_serving(folder: Path) -> None:
    home = shop(folder, contract=[NULLABLE_CITY])
    deliver(home, FIRST, SECOND, city=lambda number, row: "" if number % 5 == 0 else row["city"])
    home.edit("product.yaml", (r"null_values: \[NA\]", 'null_values: [""]'))
    went(home, FIRST, SECOND)
    assert home.serving() == home.get("release", SECOND).facts["release"]


@pytest.mark.long
@pytest.mark.parametrize(("kind", "texts"), [("bool", ("false", "true")), ("float", ("0.0", "1.0")), ("str", ("no", "yes"))])
def test_a_label_may_be_a_boolean_a_float_or_text(folder: Path, kind: str, texts: tuple[str, str]) -> None:
    positive = [("label: came_back", "label: came_back, positive: 'yes'")] if kind == "str" else []
    home = shop(folder, *positive, contract=[label(kind)])
    deliver(home, FIRST, SECOND, came_back=lambda _, row: texts[row["came_back"]])
    went(home, FIRST, SECOND)
    assert home.serving() == home.get("release", SECOND).facts["release"]


def test_a_label_of_text_without_the_positive_one_says_which_line_to_add(folder: Path) -> None:
    home = shop(folder, contract=[label("str")])
    deliver(home, FIRST, came_back=lambda _, row: "yes" if row["came_back"] else "no")
    run = home.run(FIRST)
    assert "the label 'came_back' is text ('no', 'yes')" in run.errors["features"]
    assert "features: {positive:" in run.errors["features"]


@pytest.mark.long
def test_a_boolean_may_be_a_feature(folder: Path) -> None:
    home = shop(folder, contract=[bool_items("bool")])
    deliver(home, FIRST, SECOND, items=lambda _, row: "true" if row["items"] > 4 else "false")
    went(home, FIRST, SECOND)
    assert home.serving() == home.get("release", SECOND).facts["release"]


@pytest.mark.long
def test_days_that_cannot_train_or_judge_block_no_later_one(folder: Path) -> None:
    """A day of one class, one of three rows at one time without a city, and then an ordinary one."""
    home = shop(folder, contract=[('min_rows": 5', 'min_rows": 1'), NULLABLE_CITY])
    deliver(home, FIRST, came_back=0)
    deliver(home, SECOND, count=3, city="", placed_at=f"{SECOND}T00:00:00")
    deliver(home, THIRD, came_back="")
    deliver(home, FOURTH)
    home.edit("product.yaml", (r"null_values: \[NA\]", 'null_values: [""]'))
    with blank_pages():
        runs = {day: home.run(day) for day in (FIRST, SECOND, THIRD, FOURTH)}
    for day, run in runs.items():
        assert run.success, (day, run.errors, {claim: run.descriptions[claim] for claim in run.failed_checks})
    assert "no candidate yet: shop: label 'came_back' is 0 in all 40 training rows" in "\n".join(runs[SECOND].log)
    assert "no_leakage" in runs[THIRD].warnings
    assert "nothing to compare" in runs[THIRD].descriptions["no_leakage"]
    assert home.current("evaluation", FOURTH) is not None


@pytest.mark.long
def test_columns_that_tell_nothing_are_taken_and_prove_nothing(folder: Path) -> None:
    same: dict[str, Any] = {
        "city": "Bonn",
        "amount": "",
        "items": "",
        "placed_at": lambda _, row: row["placed_at"][:10] + "T00:00:00",
    }
    home = shop(folder)
    deliver(home, FIRST, SECOND, **same)
    home.edit("product.yaml", (r"null_values: \[NA\]", 'null_values: [""]'))
    with blank_pages():
        run = [home.run(day) for day in (FIRST, SECOND)][-1]
    assert run.success, run.errors
    assert home.current("evaluation", SECOND) is not None
    assert home.serving() is None


@pytest.mark.long
def test_a_window_that_holds_too_little_leaves_each_claim_undecided_and_says_why(folder: Path) -> None:
    home = shop(folder)
    deliver(home, FIRST)
    deliver(home, SECOND, came_back=0)
    with blank_pages():
        run = [home.run(day) for day in (FIRST, SECOND)][-1]
    assert run.success, run.errors
    assert run.descriptions["floor"].startswith("undecided: the test window holds too little to decide: 0 positives")


@pytest.mark.long
def test_a_field_may_have_a_name_with_a_space(folder: Path) -> None:
    spaced = (r"    items: int = pa.Field\(nullable=True\)", '    items: int = pa.Field(nullable=True, alias="Order items")')
    columns = 'id, placed_at, city, amount, "Order items"'
    dbt = {
        "shop_requests.sql": f"select {columns} from {{{{ source('dataset', 'orders') }}}}",
        "shop_features.sql": f"select {columns}, hour(placed_at) as hour from {{{{ ref('shop_requests') }}}}",
    }
    home = shop(folder, contract=[spaced], dbt=dbt)
    for day in (FIRST, SECOND):
        renamed = [{"Order items" if name == "items" else name: value for name, value in row.items()} for row in rows(day)]
        home.deliver(day, {"orders": csv_bytes(renamed)})
    went(home, FIRST, SECOND)
    assert home.serving() == home.get("release", SECOND).facts["release"]
