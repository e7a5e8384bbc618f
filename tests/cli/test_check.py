"""`ml-assets check` and `ml-assets deliver` on a real home: exit codes that a pipeline can trust, and nothing made on the way."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ml_assets.cli import cli
from tests.support import command_line
from tests.support.command_line import Days, replace_in
from tests.support.homes.small_home import DAYS, small_home

pytestmark = pytest.mark.timeout(600)
FIRST, SECOND = DAYS[:2]


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Days:
    """Three days down the path: from the second on each has a candidate, and the release of the last answers."""
    return small_home(tmp_path_factory, tmp_path_factory.mktemp("days"))


def checked(days: Days, *options: str, day: str = SECOND) -> Result:
    """A check of a day."""
    return days.invoke("check", "flights", "--partition", day, *options)


def check(days: Days, *, day: str = SECOND) -> tuple[int, dict[str, Any]]:
    """Exit code and results."""
    done = checked(days, "--json", day=day)
    return done.exit_code, json.loads(done.stdout)


def failed(report: dict[str, Any]) -> set[str]:
    return {row["check"] for row in report["checks"] if not row["passed"] and row["severity"] == "ERROR"}


@contextmanager
def changed(path: Path, content: bytes) -> Iterator[None]:
    """Other bytes in a file for a while, even where it is read-only."""
    before, mode = path.read_bytes(), path.stat().st_mode
    path.chmod(0o600)
    path.write_bytes(content)
    try:
        yield
    finally:
        path.write_bytes(before)
        path.chmod(mode)


def blob(days: Days, stage: str, member: str, *, day: str = SECOND) -> Path:
    """The stored file of a member of what stands for a day."""
    space = days.open()
    manifest = space.ledger.current("flights", stage, day)
    assert manifest
    digest = space.snapshots.open(manifest.snapshot).members[member]
    space.ledger.close()
    return days.home / "store" / digest[:2] / digest


def made_so_far(days: Days) -> tuple[int, int, int]:
    """How many manifests, pointer moves and Dagster materializations there are."""
    space = days.open()
    kinds = [entry.kind for entry in space.ledger.entries()]
    space.ledger.close()
    materialized = 0
    for path in (days.home / "dagster").rglob("*.db"):
        with sqlite3.connect(path) as database:
            if database.execute("select 1 from sqlite_master where name = 'event_logs'").fetchone():
                query = "select count(*) from event_logs where dagster_event_type = 'ASSET_MATERIALIZATION'"
                materialized += database.execute(query).fetchone()[0]
        database.close()
    return sum(kind == "manifest" for kind in kinds), sum(kind not in ("manifest", "evidence") for kind in kinds), materialized


def test_a_check_of_what_is_well_passes_makes_nothing_and_takes_warnings_as_such(days: Days) -> None:
    before = made_so_far(days)
    assert before[0] > 8
    assert before[2] > 8
    code, report = check(days)
    assert failed(report) == set()
    assert (code, report["passed"], report["errors"]) == (0, True, [])
    assert len(report["checks"]) > 30
    assert [row for row in report["checks"] if not row["passed"]], "monitoring has nothing to look at yet, which is a warning"
    assert {row["severity"] for row in report["checks"] if not row["passed"]} == {"WARN"}
    assert made_so_far(days) == before


@pytest.mark.long
def test_one_check_of_severity_error_that_blocks_nothing_fails_it(days: Days) -> None:
    pointer = days.home / "endpoints" / "flights" / "production.json"
    release = json.loads(pointer.read_bytes())["release"]
    with changed(pointer, pointer.read_bytes().replace(release.encode(), b"2013-01-01.00000000")):
        content = json.loads(pointer.read_bytes())
        pointer.write_text(json.dumps(content | {"bundle": "0" * 64}))
        code, report = check(days, day=FIRST)
    assert (code, report["passed"], failed(report)) == (1, False, {"answers_as_recorded"})


@pytest.mark.long
def test_a_damaged_byte_and_a_broken_dbt_test_each_fail_their_check(days: Days) -> None:
    model = blob(days, "release", "profile.json")
    schema = days.products / "flights" / "dbt" / "schema.yml"
    before = schema.read_text()
    replace_in(schema, {"[EWR, JFK, LGA]": "[EWR, JFK]"})
    try:
        with changed(model, model.read_bytes()[:-1] + b" "):
            code, report = check(days)
    finally:
        schema.write_text(before)
    assert (code, report["passed"]) == (1, False)
    assert failed(report) >= {"bundle_intact", "origin_is_a_new_york_airport"}
    assert "keeps_contract" not in failed(report)


def test_a_check_that_cannot_be_run_is_no_pass(days: Days) -> None:
    features = blob(days, "features", "features.parquet", day=FIRST)
    with changed(features, b"damaged"):
        done = checked(days, day=FIRST)
    assert done.exit_code == 1
    assert any(line.startswith("FAIL flights__no_leakage: ") for line in done.stdout.splitlines()), done.stdout
    assert " 0 failed" in done.stdout.splitlines()[-1]
    assert "0 could not be run" not in done.stdout.splitlines()[-1]


def test_nothing_to_check_is_no_pass_either(tmp_path: Path) -> None:
    empty = command_line.days_in(tmp_path)
    done = empty.ml_assets("check", "flights")
    assert done.returncode == 1
    assert "nothing is delivered" in done.stderr
    done = empty.ml_assets("check", "flights", "--partition", FIRST)
    assert done.returncode == 1
    assert f"flights {FIRST}: nothing to check yet; `ml-assets run flights --partition {FIRST}` makes it" in done.stderr
    unknown = empty.ml_assets("check", "trains")
    assert (unknown.returncode, unknown.stderr) == (1, "error: there is no product 'trains'; there are: flights\n")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("nope", "a.csv"), "has no table 'nope'; it has flights, weather, planes, airports, airlines"),
        (("flights", "a.csv"), "give --partition, one day from 2013-01-01"),
        (("flights", "a.csv", "-p", "2013-01"), "'2013-01' is not the key of a partition by day"),
        (("flights", "a.csv", "-p", "../../escape"), "'../../escape' is not the key"),
        (("flights", "a.csv", "-p", "2014-01-01"), "has no partition 2014-01-01"),
        (("flights", "a.parquet", "-p", FIRST), "flights is delivered as .csv, not as .parquet"),
        (("planes", "a.csv", "-p", FIRST), "planes is a reference table"),
    ],
)
def test_a_file_without_a_place_is_not_delivered(
    args: tuple[str, ...], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = command_line.days_in(tmp_path)
    monkeypatch.setenv("ML_ASSETS_HOME", str(days.home))
    monkeypatch.setenv("ML_ASSETS_PRODUCTS", str(days.products))
    for name in ("a.csv", "a.parquet"):
        (tmp_path / name).write_bytes(b"a\n1\n")
    table, file, *rest = args
    result = CliRunner().invoke(cli, ["deliver", "flights", table, str(tmp_path / file), *rest])
    assert result.exit_code == 1
    assert words in str(result.exception)
    assert not days.home.exists()


def test_a_delivered_file_is_where_the_sensor_looks(tmp_path: Path) -> None:
    days = command_line.days_in(tmp_path)
    for table, content in (command_line.delivery(FIRST) | command_line.reference()).items():
        (tmp_path / "any name.csv").write_bytes(content)
        partition = ("--partition", FIRST) if table in ("flights", "weather") else ()
        done = days.ml_assets("deliver", "flights", table, str(tmp_path / "any name.csv"), *partition)
        assert done.returncode == 0, done.stderr
        assert Path(done.stdout.strip()).read_bytes() == content
    assert days.open().landing.delivered(days.flights) == [FIRST]
    assert not [path for path in (days.home / "landing").rglob("*") if path.name.startswith(".")]
