"""Outcomes in a table of their own come from a declared source: a query, files at a URL, an upstream asset."""

from datetime import datetime
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
import sqlalchemy
from click.testing import CliRunner

from ml_assets.cli import cli
from ml_assets.core.lineage.facts import OutcomesFacts
from ml_assets.core.lineage.partitions import utc_now
from ml_assets.definitions import build_defs
from ml_assets.services.automation.new_outcomes import due_outcomes
from ml_assets.services.extraction import table_source
from ml_assets.services.extraction.delivery_content import ExtractionRefused
from ml_assets.services.extraction.table_source import TableSource, sources_of
from ml_assets.spec.product import ProductError
from resources.dagster_resources import resources_of
from resources.outcome_files import outcome_entries
from tests.support.homes.apart import apart, deliver_orders, returns
from tests.support.homes.path_homes import Home
from tests.support.homes.shop import DAYS, csv_bytes
from tests.support.orders_database import connected

FIRST, SECOND = DAYS[:2]
VARIABLE = "RETURNS_DATABASE"
SQL = """\
sources:
  returns:
    database: env:RETURNS_DATABASE
    sql: select id, came_back, known_at from returns where placed_on >= date(:start) and placed_on < date(:end)
"""


def labels(declared: str, *, absent: str = "unknown", matures: str = "30d", written: str = "parquet") -> str:
    table = f"returns: {{format: {written}, time: known_at}}"
    return f"labels: {{matures: {matures}, absent: {absent}, delivered: {{{table}}}}}\n{declared}\nwindow: {{train"


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"sqlite:///{tmp_path / 'returns.db'}"
    monkeypatch.setenv(VARIABLE, url)
    with connected(url) as connection:
        connection.execute(sqlalchemy.text("create table returns (id text, came_back integer, known_at text, placed_on text)"))
    insert(url, FIRST)
    return url


def insert(url: str, day: str, *, only: list[int] | None = None) -> None:
    with connected(url) as connection:
        for row in returns(day, only=only):
            values = {**row, "placed_on": day}
            connection.execute(sqlalchemy.text("insert into returns values (:id, :came_back, :known_at, :placed_on)"), values)


def source(homes: list[Home], folder: Path, text: str, *edits: tuple[str, str]) -> TableSource:
    homes.append(apart(folder / "home", *edits, labels=text))
    (only,) = sources_of(homes[-1].product, homes[-1].space.landing, homes[-1].space.ledger)
    return only


def data(home: Home, day: str) -> None:
    """The path up to the features, and the outcomes."""
    done = home.run(day, only=("raw", "dataset", "quarantine", "features", "outcomes"))
    assert done.success, done.errors


@pytest.mark.long
def test_outcomes_of_a_query_are_asked_for_when_they_are_complete_and_are_the_partitions_outcomes(
    url: str, homes: list[Home], tmp_path: Path
) -> None:
    table = source(homes, tmp_path, labels(SQL))
    assert [due.partition for due in table.due(datetime(2024, 3, 31, 23))] == []
    assert [due.partition for due in table.due(datetime(2024, 4, 1))] == [FIRST]
    (home,) = homes
    deliver_orders(home, FIRST)
    environ = home.space.settings.environ() | {VARIABLE: url}
    done = CliRunner().invoke(cli, ["extract", "shop", "-p", FIRST], env=environ)
    assert done.exit_code == 0, done.output
    assert done.output.startswith(f"returns {FIRST}: 40 rows, ")
    data(home, FIRST)
    outcomes = home.get("outcomes", FIRST)
    assert OutcomesFacts.of(outcomes).known == 40
    known = home.space.snapshots.frame(outcomes.snapshot, "labels.parquet").sort("id")
    assert known["came_back"].to_list() == [row["came_back"] for row in sorted(returns(FIRST), key=lambda row: str(row["id"]))]
    with pytest.raises(ExtractionRefused, match="--again` asks the source again"):
        table.extract(FIRST)


def test_outcomes_that_are_asked_for_early_are_asked_for_once_more_when_they_are_complete(
    url: str, homes: list[Home], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = source(homes, tmp_path, labels(SQL.replace("    sql", "    settle: 1d\n    sql"), matures="2000w"))
    early, complete = datetime(2024, 3, 3), datetime(2062, 7, 3)
    assert [due.partition for due in table.due(early)] == [FIRST]
    first = table.extract(FIRST)
    insert(url, FIRST, only=[])
    assert [*table.due(early)] == []
    assert [due.partition for due in table.due(complete)][:1] == [FIRST]
    monkeypatch.setattr(table_source, "utc_now", lambda: complete)
    again = table.extract(FIRST)
    assert (again.is_new, again.record.content) == (False, first.record.content)


def test_what_the_source_has_now_is_in_the_place_of_what_it_had_and_beside_what_people_deliver(
    url: str, homes: list[Home], tmp_path: Path
) -> None:
    table = source(homes, tmp_path, labels(SQL))
    (home,) = homes
    by_hand = pl.DataFrame(returns(FIRST, only=[0]))
    path = home.space.landing.folder(home.product) / "returns" / f"{FIRST}.by-hand.parquet"
    path.parent.mkdir(parents=True)
    by_hand.write_parquet(path)
    assert table.extract(FIRST).is_new, "a file that somebody delivered is in nobody's way"
    with connected(url) as connection:
        connection.execute(sqlalchemy.text("delete from returns where id = :id"), {"id": f"{FIRST}-5"})
    assert table.extract(FIRST, again=True).record.rows == 39
    assert [*outcome_entries(home.space.landing, home.product)[FIRST]] == [path.name, f"{FIRST}.source.parquet"]
    deliver_orders(home, FIRST)
    data(home, FIRST)
    assert OutcomesFacts.of(home.get("outcomes", FIRST)).known == 39
    settings, now = home.space.settings, datetime.fromisoformat("2030-01-01T00:00:00+00:00")
    before = due_outcomes(home.space.lineage, home.space.landing, settings, home.product, now)
    insert(url, FIRST, only=[5])
    table.extract(FIRST, again=True)
    after = due_outcomes(home.space.lineage, home.space.landing, settings, home.product, now)
    assert [key for key, _ in after] == [FIRST]
    assert before != after, "the sensor of new outcomes launches their job"


@pytest.mark.parametrize(("absent", "known"), [("negative", 0), ("unknown", None)])
def test_no_rows_are_an_answer_only_where_a_missing_outcome_is_a_no(
    absent: str, known: int | None, url: str, homes: list[Home], tmp_path: Path
) -> None:
    table = source(homes, tmp_path, labels(SQL, absent=absent))
    if known is None:
        with pytest.raises(ExtractionRefused, match="the query gives no rows"):
            table.extract(SECOND)
        return
    assert table.extract(SECOND).record.rows == 0
    (home,) = homes
    deliver_orders(home, SECOND)
    data(home, SECOND)
    outcomes = home.get("outcomes", SECOND)
    assert OutcomesFacts.of(outcomes).known == known
    labelled = home.space.snapshots.frame(outcomes.snapshot, "features.parquet")
    assert labelled["came_back"].to_list() == [0] * 40


def test_files_at_a_url_are_outcomes_and_other_files_are_noticed(homes: list[Home], tmp_path: Path) -> None:
    bucket = tmp_path / "bucket" / FIRST
    bucket.mkdir(parents=True)
    (bucket / "a.csv").write_bytes(csv_bytes(returns(FIRST, only=range(10))))
    declared = f"sources: {{returns: {{uri: '{bucket.parent.as_uri()}/{{partition}}/*.csv'}}}}"
    still = (r"(?m)\Z", "\nlanding: {settle: 0}\n")
    table = source(homes, tmp_path, labels(declared, written="csv"), still)
    (due,) = table.due(utc_now())
    assert table.extract(FIRST, state=due.state).record.rows == 10
    (bucket / "b.csv").write_bytes(csv_bytes(returns(FIRST, only=range(10, 40))))
    (again,) = table.due(utc_now())
    assert table.extract(FIRST, state=again.state).record.rows == 40


def test_outcomes_come_after_the_upstream_asset_that_announces_them(homes: list[Home], tmp_path: Path) -> None:
    declared = "sources: {returns: {asset: [team, returns], uri: 'file:///tmp/{partition}.csv'}}"
    table = source(homes, tmp_path, labels(declared, written="csv"))
    upstream = dg.AssetKey(["team", "returns"])
    defs = build_defs({"shop": table.product}, resources_of(homes[0].space.settings))
    with_upstream = dg.Definitions.merge(dg.Definitions(assets=[dg.AssetSpec(upstream)]), defs)
    assert upstream in with_upstream.resolve_asset_graph().get(dg.AssetKey(["shop", "outcomes"])).parent_keys


def test_a_source_of_a_table_that_is_neither_delivered_nor_of_outcomes_is_refused(homes: list[Home], tmp_path: Path) -> None:
    other = SQL.replace("  returns:", "  refunds:")
    with pytest.raises(ProductError, match=r"refunds: is not a table of delivery or labels\.delivered; allowed: orders, returns"):
        source(homes, tmp_path, labels(other))
    with pytest.raises(ProductError, match="rows of a query are delivered as Parquet; declare returns with format: parquet"):
        _ = apart(tmp_path / "other", labels=labels(SQL, written="csv")).product
