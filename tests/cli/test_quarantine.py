"""`ml-assets quarantine`: refused rows with values, reasons and share, published or not."""

import csv
import io
import json

import pytest
from click.testing import CliRunner

from ml_assets.cli import cli
from tests.support.homes.path_homes import Home
from tests.support.homes.shop import DAYS, deliver, shop

FIRST, SECOND, THIRD, _ = DAYS


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A day with two refused rows, and one of which so many are refused that nothing is published."""
    home = shop(tmp_path_factory.mktemp("refused"))
    deliver(home, FIRST, items=lambda number, row: "9.5" if number in (3, 8) else row["items"])
    deliver(home, SECOND, amount=lambda _, row: str(row["amount"]).replace(".", ","))
    for day in (FIRST, SECOND):
        assert home.run(day, only=["raw"], without=[]).success
    return home


def output_of(home: Home, *arguments: str) -> str:
    environ = {"ML_ASSETS_HOME": str(home.folder), "ML_ASSETS_PRODUCTS": str(home.declared.parent)}
    done = CliRunner().invoke(cli, ["quarantine", "shop", *arguments], env=environ)
    assert done.exit_code == 0, done.output
    return done.output


def test_the_refused_rows_are_shown_with_share_reason_and_values(read: Home) -> None:
    shown = output_of(read, "-p", FIRST)
    assert f"shop {FIRST} orders: 2 of 40 rows refused (5 %, limit 20 %)" in shown
    assert "2  items.type" in shown
    assert "3    items.type  items='9.5'" in shown


def test_they_are_shown_where_nothing_is_published_with_what_the_values_seem_to_be(read: Home) -> None:
    shown = output_of(read, "-p", SECOND)
    assert "not published: orders: 100 % of rows are refused, limit 20 %: amount.type 40" in shown
    assert 'a decimal comma? add `decimal: ","`' in shown
    assert "and 20 more; `--format csv --table orders` has them all" in shown


def test_csv_has_the_rows_as_they_were_delivered(read: Home) -> None:
    rows = list(csv.DictReader(io.StringIO(output_of(read, "-p", FIRST, "--format", "csv"))))
    assert [(row["row"], row["reason"], row["items"], row["id"]) for row in rows] == [
        ("3", "items.type", "9.5", f"{FIRST}-3"),
        ("8", "items.type", "9.5", f"{FIRST}-8"),
    ]


def test_json_has_counts_reasons_and_rows(read: Home) -> None:
    orders = json.loads(output_of(read, "-p", FIRST, "--format", "json"))["tables"]["orders"]
    assert (orders["delivered"], orders["refused"], orders["share"], orders["limit"]) == (40, 2, 0.05, 0.2)
    assert orders["reasons"] == {"items.type": 2}
    assert [row["row"] for row in orders["rows"]] == [3, 8]


def test_a_day_of_which_nothing_is_read_names_the_command_that_reads_it(read: Home) -> None:
    environ = {"ML_ASSETS_HOME": str(read.folder), "ML_ASSETS_PRODUCTS": str(read.declared.parent)}
    done = CliRunner().invoke(cli, ["quarantine", "shop", "-p", THIRD], env=environ)
    assert f"`ml-assets run shop --partition {THIRD}` reads it" in str(done.exception)
