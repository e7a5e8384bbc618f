"""Tables as they lie around: what is drafted of decorated numbers, epochs, spellings and odd names, and what is told."""

import json
import sys
from datetime import datetime
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from ml_assets.cli import cli
from ml_assets.core.draft.draft import Draft
from ml_assets.core.draft.drafting import drafted
from ml_assets.core.draft.number_forms import number_form
from ml_assets.core.draft.request import DraftRefused, DraftRequest
from ml_assets.core.duckdb_session import connect
from ml_assets.services.new_product.sources import read_sources
from ml_assets.services.new_product.summary import summary
from ml_assets.serving.client import http_client as client
from ml_assets.serving.client.server_process import ServerProcess
from ml_assets.spec.delivery import ReferenceSpec
from tests.support.drafting import written
from tests.support.ordinary_tables import NUMBERS, WRITTEN, everything, rows, with_zone

CSV = ReferenceSpec(format="csv")


def draft_of(folder: Path, frame: pl.DataFrame, **options: object) -> Draft:
    path = folder / "rows.csv"
    frame.write_csv(path)
    source = read_sources([str(path)], query=None)
    request = DraftRequest(name="rows", label="label", **options)  # type: ignore[arg-type]
    return drafted(source.frame, source.spec, request, table=source.table)


@pytest.mark.parametrize("form", [*WRITTEN])
def test_a_number_with_something_around_it_is_the_models_number_and_no_level_and_no_key(form: str, tmp_path: Path) -> None:
    shop = rows(600)
    draft = draft_of(tmp_path, shop.frame(amount=[WRITTEN[form](value) for value in shop.x]))
    column = draft.columns["amount"]
    assert column.form
    assert "amount" not in draft.roles.unused
    assert column not in draft.roles.key.columns or draft.roles.key.is_counted
    (feature,) = [feature for feature in draft.features if feature.name == "amount"]
    assert feature.python == "float"
    with connect() as connection:
        connection.register("texts", pl.DataFrame({"amount": column.values}).to_arrow())
        numbers = connection.sql(f"select {feature.sql} as number from texts").pl()["number"]
    assert numbers.to_list() == pytest.approx([NUMBERS[form](value) for value in shop.x], abs=1e-9)
    assert column.values.str.contains(column.form.pattern).all()
    for other in ("abc", "", "1 of 2", "12abc3"):
        with connect() as connection, pytest.raises(duckdb.ConversionException):
            connection.execute(f"select {column.form.sql('x')} from (values ('{other}')) as t(x)").fetchall()
    assert "str_matches" in draft.limits["amount"].arguments


@pytest.mark.parametrize(
    "texts",
    [["12", "13"], ["12A", "13B"], ["$5", "€6"], ["5 kg", "6 g"], ["1,23", "4,567"], ["07-12", "08-13"], ["A12%", "B13%"]],
)
def test_codes_and_mixed_units_stay_texts(texts: list[str]) -> None:
    assert number_form(pl.Series(texts), CSV) is None


def test_a_decimal_comma_is_read_with_points_between_thousands() -> None:
    table = ReferenceSpec(format="csv", separator=";", decimal=",")
    form = number_form(pl.Series(["1.234,50 €", "7,25 €"]), table)
    assert form
    with connect() as connection:
        numbers = connection.sql(f"select {form.sql('x')} from (values ('1.234,50 €'), ('7,25 €')) as t(x)").fetchall()
    assert numbers == [(1234.5,), (7.25,)]


def test_a_label_of_such_numbers_is_refused_with_what_to_deliver(tmp_path: Path) -> None:
    shop = rows(200)
    frame = shop.frame(x=shop.x).with_columns(label=pl.Series([WRITTEN["unit"](value) for value in shop.x]))
    with pytest.raises(DraftRefused, match=r"--label label: its values are numbers with something around them, such as '.* kg'"):
        draft_of(tmp_path, frame)


@pytest.mark.parametrize(("unit", "form"), [(1, "epoch_s"), (1000, "epoch_ms")])
def test_a_time_in_seconds_or_milliseconds_is_found_by_its_name_and_size(unit: int, form: str, tmp_path: Path) -> None:
    shop = rows(600)
    epochs = [int((moment - datetime(1970, 1, 1)).total_seconds()) * unit for moment in shop.at]
    draft = draft_of(tmp_path, shop.frame(x=shop.x).with_columns(at=pl.Series(epochs)).rename({"at": "created_ts"}))
    assert draft.roles.time
    assert (draft.roles.time.name, draft.spec.datetime_format) == ("created_ts", form)
    assert draft.roles.time.values.to_list() == [moment.replace(microsecond=0) for moment in shop.at]


def test_a_date_in_three_columns_is_noticed(tmp_path: Path) -> None:
    shop = rows(600)
    parts = {part: [getattr(moment, part) for moment in shop.at] for part in ("year", "month", "day")}
    draft = draft_of(tmp_path, shop.frame(x=shop.x, **parts).drop("at"))
    assert "year, month, day seem to be a date in parts: deliver one column made of them" in "; ".join(draft.notes)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"  \n\n", "is empty"),
        (b"PK\x03\x04 workbook", "is a workbook or an archive; save its table as CSV or Parquet"),
        (b'{"at": "2024-01-01", "label": 1}\n', "is JSON; write its rows as CSV or Parquet"),
        (b"Report\n\n" + b"at,x,label\n" + b"2024-01-01,2,1\n" * 9, "remove what is above the line that names the columns"),
    ],
)
def test_a_file_of_another_kind_is_named_as_what_it_is(content: bytes, message: str, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_bytes(content)
    with pytest.raises(DraftRefused, match=message):
        read_sources([str(file)], query=None)


def test_a_line_of_totals_makes_no_outcome_of_the_columns_that_it_leaves_empty(tmp_path: Path) -> None:
    shop = rows(600)
    totals = pl.DataFrame({"at": ["Total"], "x": [shop.x.sum().round(3)], "kind": [None], "label": [None]})
    frame = shop.frame(x=shop.x, kind=shop.kind).with_columns(pl.col("at").dt.strftime("%Y-%m-%dT%H:%M:%S"))
    draft = draft_of(tmp_path, pl.concat([frame, totals.cast(dict(frame.schema))]))  # type: ignore[arg-type]
    assert draft.roles.after == {}
    assert draft.roles.task == "binary"


def test_times_of_several_zones_are_moments_in_utc(tmp_path: Path) -> None:
    shop = rows(600)
    zoned = [with_zone(moment, number) for number, moment in enumerate(shop.at)]
    draft = draft_of(tmp_path, shop.frame(x=shop.x).with_columns(at=pl.Series(zoned)))
    assert draft.roles.time
    assert draft.roles.time.values.to_list() == [*shop.at]


@pytest.mark.parametrize("positive", [None, "Yes"])
def test_spellings_of_one_outcome_are_refused_and_not_made_classes_of(positive: str | None, tmp_path: Path) -> None:
    shop = rows(600)
    spelled = np.where(shop.label, shop.random.choice(["Yes", "yes", "YES "], shop.count), "no")
    frame = shop.frame(x=shop.x).with_columns(label=pl.Series(spelled))
    with pytest.raises(DraftRefused, match="'YES ', 'Yes', 'yes' differ only in capital letters or spaces"):
        draft_of(tmp_path, frame, positive=positive)
    assert len(draft_of(tmp_path, frame, task="multiclass").roles.classes) == 4


def test_a_group_of_one_value_is_refused(tmp_path: Path) -> None:
    shop = rows(600)
    with pytest.raises(DraftRefused, match="--group site: it has 1 value, and a verdict, which counts values, needs 5 or more"):
        draft_of(tmp_path, shop.frame(x=shop.x, site=["north"] * 600), group="site")


def test_fifty_rows_by_time_are_told_that_they_can_be_judged_without_it(tmp_path: Path) -> None:
    shop = rows(50, days=50)
    product = written(tmp_path, shop.frame(x=shop.x))
    output = summary(product)
    assert "release   none in this history" in output
    assert "drafted without the time it is judged on folds: --every delivery" in output


def test_a_static_regression_with_texts_is_drafted_and_released_at_once(tmp_path: Path) -> None:
    shop = rows(59)
    frame = shop.frame(x=shop.x, kind=shop.kind).drop("at").with_columns(label=(pl.Series(shop.x) * 3).round(2))
    product = written(tmp_path, frame)
    assert product.plan.release
    assert product.plan.release.delivery == "delivery 1"


def test_three_hundred_columns_are_drafted(tmp_path: Path) -> None:
    shop = rows(400)
    wide = {f"c{number:03}": (shop.x + shop.random.normal(0, 3, 400)).round(3) for number in range(300)}
    draft = draft_of(tmp_path, shop.frame(**wide))
    assert len([feature for feature in draft.features if feature.name.startswith("c")]) == 300


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_a_table_of_all_these_columns_becomes_a_served_prediction(tmp_path: Path) -> None:
    file = tmp_path / "all.csv"
    everything().write_csv(file)
    environ = {
        "ML_ASSETS_HOME": str(tmp_path / "home"),
        "ML_ASSETS_PRODUCTS": str(tmp_path / "products"),
        "DAGSTER_HOME": "",
    }

    def command(*arguments: str) -> str:
        done = CliRunner().invoke(cli, arguments, env=environ, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    output = command("new", "all", str(file), "--label", "label")
    assert "release   the first with 2024-01-22, delivery 4 of 17" in output
    shown = command("demo", "all", "--partitions", "4")
    assert "ACCEPT" in shown
    request = json.loads((tmp_path / "home" / "history" / "all" / "request.json").read_text(encoding="utf-8"))
    with ServerProcess([sys.executable, "-m", "ml_assets", "serve", "all"], environ=environ) as server:
        (answer,) = client.predict(server.base_url, [request])["predictions"]
    assert 0 < answer["probability"] < 1
