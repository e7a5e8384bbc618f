"""The bad deliveries of 2013, as files: each is refused by the contract or held as implausible, and no month as it was
delivered is."""

import io
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from ml_assets.errors import MlAssetsError
from ml_assets.services.build_snapshots import make_dataset, make_features, make_raw, make_reference
from ml_assets.services.evidence import Finding
from ml_assets.services.proofs.plausible import is_plausible
from tests.support.homes.flights_days import flights
from tests.support.homes.flights_months import year
from tests.support.homes.path_homes import Home, home

pytestmark = pytest.mark.long
LAST = "2013-12"
Change = Callable[[pl.DataFrame], pl.DataFrame]
STAMP = "%Y-%m-%dT%H:%M:%SZ"
TIME = pl.col("time_hour").str.to_datetime(STAMP)


def taken(at: Home, key: str, tables: dict[str, bytes]) -> dict[str, Finding]:
    """The month as data, up to its features; what fails of its plausibility."""
    space, product = at.space, at.product
    at.deliver(key, tables)
    make_raw(space.lineage, space.landing, product, key, run="r")
    make_dataset(space.lineage, product, key, run="r")
    features = make_features(space.lineage, space.dbt, product, key, run="r").manifest
    findings = is_plausible(space.lineage, product, space.settings, features)
    return {finding.claim: finding for finding in findings if not finding.passed}


def outcome(at: Home, tables: dict[str, bytes]) -> dict[str, Finding] | str:
    """What fails of the last month's plausibility, or why the contract refuses it."""
    try:
        return taken(at, LAST, tables)
    except MlAssetsError as error:
        return str(error)


@pytest.fixture(scope="module")
def eleven_months(tmp_path_factory: pytest.TempPathFactory) -> Home:
    at = home(tmp_path_factory.mktemp("months"), flights())
    at.deliver("", year().reference())
    make_reference(at.space.lineage, at.space.landing, at.product, run="r")
    for key in year().months[:-1]:
        assert taken(at, key, year().month(key)) == {}, key
    at.close()
    return at


def november(rows: pl.DataFrame) -> pl.DataFrame:
    later = (TIME + pl.duration(days=30)).dt.to_string(STAMP)
    local = (TIME + pl.duration(days=30) - pl.duration(hours=5)).dt
    moved = read(year().month("2013-11")["flights"]).with_columns(later.alias("time_hour"), local.month().alias("month"))
    return moved.with_columns((TIME - pl.duration(hours=5)).dt.day().alias("day"))


def clamped(rows: pl.DataFrame) -> pl.DataFrame:
    earlier = pl.max_horizontal(TIME - pl.duration(hours=5), TIME.min())
    return rows.with_columns(earlier.dt.to_string(STAMP).alias("time_hour"))


BAD: dict[str, tuple[Change, str]] = {
    "as it was": (lambda rows: rows, ""),
    "a leak by sched_arr_time": (
        lambda rows: rows.with_columns(sched_arr_time=pl.coalesce(pl.col("arr_time") % 2400, "sched_arr_time")),
        "no_column_gives_label_away",
    ),
    "swapped times": (
        lambda rows: rows.with_columns(sched_dep_time="sched_arr_time", sched_arr_time="sched_dep_time"),
        "relations_hold",
    ),
    "half the rows again under new flight numbers": (
        lambda rows: pl.concat(
            [rows, rows.filter(pl.col("flight") < 5000).gather_every(2).with_columns(pl.col("flight") + 4999)]
        ),
        "content_is_new",
    ),
    "a clamped time zone": (clamped, "relations_hold"),
    "November as December": (november, "content_is_new"),
    "labels all 0": (
        lambda rows: rows.with_columns(pl.when(pl.col("arr_delay").is_not_null()).then(0).alias("arr_delay")),
        "label_rate_plausible",
    ),
}


def read(content: bytes) -> pl.DataFrame:
    return pl.read_csv(content, null_values=["NA"], infer_schema_length=None)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_december_is_refused_or_held_with_its_reason(name: str, eleven_months: Home, tmp_path: Path) -> None:
    change, claim = BAD[name]
    at = eleven_months.copy(tmp_path)
    tables, file = year().month(LAST), io.BytesIO()
    change(read(tables["flights"])).write_csv(file, null_value="NA")
    run_outcome = outcome(at, {**tables, "flights": file.getvalue()})
    if isinstance(run_outcome, str):
        assert claim, run_outcome
        assert LAST in run_outcome, "the contract refuses it"
        return
    assert (claim in run_outcome) == bool(claim), {name: finding.description for name, finding in run_outcome.items()}
    if claim:
        assert run_outcome[claim].severity == "ERROR"
        assert "held back from training" in run_outcome[claim].description
