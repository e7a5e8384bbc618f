"""What the host sets changes no digest: the path of a small product, in this process and in a hostile environment."""

import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from ml_assets.definitions import defs
from resources.dbt.project import scratch
from resources.environment import pin_variables
from resources.settings import HomeRefused, settings
from resources.store.temp_files import UNFINISHED, clear_folder
from tests.support.homes.path_homes import Home
from tests.support.homes.shop import DAYS, Row, csv_bytes, deliver, rows, shop
from tests.support.shared import parse_alone

STAGES = ("raw", "dataset", "features", "model", "evaluation")
TO_FEATURES = ("raw", "dataset", "quarantine", "features")
HOURS_BY_EPOCH = {
    "shop_features.sql": "select id, placed_at, city, amount, items, hour(to_timestamp(epoch(placed_at))) as hour "
    "from {{ ref('shop_requests') }}"
}
"""DuckDB's `to_timestamp` gives a time in the session's zone: the hour is the host's unless the session is pinned."""
ODD = "o'd # 100% ]{ köln"
HOSTILE = {
    "TZ": "America/New_York",
    "LC_ALL": "tr_TR.UTF-8",
    "LANG": "de_DE.UTF-8",
    "DBT_TARGET": "ci",
    "DBT_EMPTY": "true",
    "DBT_PROFILES_DIR": "/nonexistent",
    "DBT_FULL_REFRESH": "true",
    "DBT_ENGINE_EMPTY": "true",
    "MLFLOW_RUN_ID": "0" * 32,
    "MLFLOW_EXPERIMENT_NAME": "another",
    "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
    "MLFLOW_REGISTRY_URI": "http://127.0.0.1:9",
    "PANDERA_VALIDATION_ENABLED": "False",
    "PYTHONHASHSEED": "random",
    "OMP_NUM_THREADS": "1",
}
NARROW = 0o277
"""A umask that takes even the owner's right to write."""
RUN_EACH = f"""
import os, sys
os.umask({NARROW})
from ml_assets.cli import run
for day in sys.argv[1:]:
    sys.argv = ["ml-assets", "run", "shop", "--partition", day]
    try:
        run()
    except SystemExit as ended:
        if ended.code:
            raise
"""


@dataclass(frozen=True)
class Hostile:
    """A home in the folder `base`, whose runs had the empty folders next to it as working directory, HOME and TMPDIR."""

    base: Path
    home: Home


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """Two days down the whole path in this process."""
    own_home = shop(tmp_path_factory.mktemp("clean"), dbt=HOURS_BY_EPOCH)
    deliver(own_home, *DAYS[:2], came_back=_impossible_once)
    for ran in (own_home.run(DAYS[0], only=TO_FEATURES), own_home.run(DAYS[1])):
        assert ran.success, ran.errors
    yield own_home
    own_home.close()


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    """The same two days by the command line, in a hostile environment, under an odd path."""
    base = tmp_path_factory.mktemp("hostile")
    for name in ("cwd", "HOME", "tmp"):
        (base / name).mkdir()
    own_home = shop(base / ODD, dbt=HOURS_BY_EPOCH)
    parse_alone(own_home.folder)
    deliver(own_home, *DAYS[:2], came_back=_impossible_once)
    own = {"HOME": base / "HOME", "TMPDIR": base / "tmp", "ML_ASSETS_HOME": own_home.folder}
    own["ML_ASSETS_PRODUCTS"] = own_home.declared.parent
    done = _python(RUN_EACH, *DAYS[:2], environ=HOSTILE | {name: str(path) for name, path in own.items()}, cwd=base / "cwd")
    assert done.returncode == 0, done.stdout + done.stderr
    yield Hostile(base, own_home)
    own_home.close()


@pytest.mark.long
def test_variables_of_mlflow_that_are_set_between_runs_do_not_stop_training(
    clean: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_home = clean.copy(tmp_path / "home")
    before = own_home.get("model", DAYS[1])
    own_home.edit("product.yaml", ("seed: 1", "seed: 2"))
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_TRACKING_URI"):
        monkeypatch.setenv(name, HOSTILE[name])
    ran = own_home.run(DAYS[1], only=["model"], without=[])
    assert ran.success, ran.errors
    assert own_home.get("model", DAYS[1]).data_version != before.data_version
    own_home.close()


@pytest.mark.long
def test_a_hostile_environment_changes_no_data_version(clean: Home, hostile: Hostile) -> None:
    for stage in STAGES:
        versions = [home.get(stage, DAYS[1]).data_version for home in (clean, hostile.home)]
        assert versions[0] == versions[1], stage


@pytest.mark.long
def test_a_hostile_environment_releases_and_promotes_the_same_release(clean: Home, hostile: Hostile) -> None:
    assert clean.serving() is not None
    assert hostile.home.serving() == clean.serving()


@pytest.mark.long
def test_features_are_in_utc_in_a_home_of_another_time_zone(hostile: Hostile) -> None:
    manifest = hostile.home.get("features", DAYS[1])
    frame = hostile.home.space.snapshots.frame(manifest.snapshot, "features.parquet")
    assert frame.height == manifest.facts["rows"] == 39
    assert frame["hour"].to_list() == frame["placed_at"].dt.hour().to_list()


@pytest.mark.long
def test_nothing_is_written_outside_the_home(hostile: Hostile) -> None:
    assert sorted(path.name for path in hostile.base.iterdir()) == sorted(["cwd", "HOME", "tmp", ODD])
    assert [path for name in ("cwd", "HOME", "tmp") for path in (hostile.base / name).rglob("*")] == []


@pytest.mark.long
def test_what_a_narrow_umask_makes_its_owner_can_use(hostile: Hostile) -> None:
    own_home = [path for name in ("store", "dagster", "cache", "mlflow") for path in (hostile.home.folder / name).rglob("*")]
    assert own_home
    folders = {stat.S_IMODE(path.stat().st_mode) for path in own_home if path.is_dir()}
    assert folders == {0o700}
    assert all(path.stat().st_mode & stat.S_IRUSR for path in own_home)


@pytest.mark.long
def test_variables_of_dbt_that_are_set_between_runs_neither_stop_nor_empty_the_features(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_home = shop(tmp_path)
    for day, variable in zip(DAYS, [("DBT_TARGET", "ci"), ("DBT_EMPTY", "true"), ("DBT_EXCLUDE", "shop_features")], strict=False):
        monkeypatch.setenv(*variable)
        deliver(own_home, day)
        ran = own_home.run(day, only=TO_FEATURES, without=[])
        assert ran.success, ran.errors
        assert own_home.get("features", day).facts["rows"] == 40
    own_home.close()


ZONES = """
import json, sys
from datetime import datetime, timedelta
from pathlib import Path
import duckdb, polars as pl
from ml_assets.spec.product import load
from ml_assets.core.release import feature_database
from resources.dbt import runner as dbt_runner
from resources.dbt.build import Dbt
from ml_assets.core.duckdb_session import connect

hour = "select hour(to_timestamp(3600 * 12))"
folder = Path(sys.argv[1])
host = duckdb.sql(hour).fetchall()
ours = [opened.execute(hour).fetchall() for opened in (connect(), connect().cursor(), feature_database.connect({}))]
start = datetime(2024, 3, 1)
sources = {"dataset.orders": [folder / "orders.parquet"]}
partition = ("2024-03-01", start, start + timedelta(1))
dbt_runner.pin_variables = lambda: None  # what is left is the profile's setting
built = Dbt(folder / "cache" / "dbt").build(load(folder / "products/shop"), sources=sources, partition=partition)
print(json.dumps({"host": host, "ours": ours, "dbt": built.features.sort("placed_at")["hour"].to_list()}))
"""


@pytest.mark.long
def test_sessions_of_duckdb_are_in_utc_in_a_process_that_began_in_new_york(tmp_path: Path) -> None:
    import polars as pl

    own_home = shop(tmp_path, dbt=HOURS_BY_EPOCH)
    table = pl.read_csv(csv_bytes(rows(DAYS[0], count=24)), try_parse_dates=True)
    table.write_parquet(tmp_path / "orders.parquet")
    done = _python(ZONES, str(own_home.folder), environ={"TZ": "America/New_York"})
    assert done.returncode == 0, done.stderr
    hours = json.loads(done.stdout)
    assert hours["host"] == [[7]]
    assert hours["ours"] == [[[12]]] * 3
    assert hours["dbt"] == list(range(24))


def test_dagsters_code_server_pins_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"DBT_TARGET": "ci", "MPLCONFIGDIR": "/nonexistent", "ML_ASSETS_HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    defs()
    assert "DBT_TARGET" not in os.environ
    assert Path(os.environ["MPLCONFIGDIR"]).is_relative_to(tmp_path)


def test_credentials_and_connection_settings_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    passed = dict.fromkeys(("MLFLOW_TRACKING_TOKEN", "MLFLOW_S3_ENDPOINT_URL", "AWS_PROFILE", "https_proxy"), "kept")
    cleared = ("MLFLOW_RUN_ID", "MLFLOW_TRACKING_URI", "_MLFLOW_ACTIVE_MODEL_ID", "DBT_TARGET", "PANDERA_VALIDATION_DEPTH")
    for name, value in {**passed, **dict.fromkeys(cleared, "x")}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    pin_variables()
    assert {name: os.environ.get(name) for name in passed} == passed
    assert not set(cleared) & os.environ.keys()
    assert time.tzname == ("UTC", "UTC")


def test_a_process_that_cannot_read_names_in_utf_8_is_refused() -> None:
    command = "from ml_assets.cli import main; main()"
    done = _python(command, environ={"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"})
    assert done.returncode == 1
    assert done.stderr.startswith("error: file names are in ascii")
    assert "PYTHONUTF8=1" in done.stderr


@pytest.mark.parametrize("name", ["a[b", "a*b", "a?b", "a\\b", "a%41b"])
def test_a_home_that_a_library_would_take_for_another_path_is_refused_by_its_character(tmp_path: Path, name: str) -> None:
    with pytest.raises(HomeRefused, match=r"ML_ASSETS_HOME: .* has .* in it: .*; choose a folder without it"):
        settings({"ML_ASSETS_HOME": str(tmp_path / name)})


def test_a_scratch_folder_that_cannot_be_removed_fails_nothing_and_is_removed_later(tmp_path: Path) -> None:
    with scratch(tmp_path) as folder:
        Path(folder).rmdir()
        Path(folder).touch()  # no folder: its removal fails
    assert [path.name for path in tmp_path.glob(f"{UNFINISHED}*")] == [Path(folder).name]
    clear_folder(tmp_path)
    assert not list(tmp_path.iterdir())


def _impossible_once(number: int, row: Row) -> int:
    """One row a day breaks the contract: switching validation off would change the dataset."""
    return 7 if number == 0 else int(row["came_back"])


def _python(script: str, *args: str, environ: Mapping[str, str], cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ML_ASSETS_", "DAGSTER_", "LC_", "TZ"))}
    own = {"PYTHONPATH": str(Path(__file__).parents[2]), **environ}
    return subprocess.run(
        [sys.executable, "-c", script, *args], env=kept | own, cwd=cwd, capture_output=True, text=True, timeout=280, check=False
    )
