"""Settings for Dagster go into a team's dagster.yaml, never in its place, and DAGSTER_HOME is respected."""

import logging
import os
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.launcher import WorkerStatus

from resources.dagster_instance import CONFIG, LAUNCHERS, prepare_home, workspace_file
from resources.dagster_yaml import STORAGE, DagsterSettingsRefused
from resources.environment import pin
from resources.setting_values import SettingRefused
from resources.settings import Settings, settings
from resources.workers.launcher import WorkerLauncher

DATABASE = "postgresql://ann:secret@db/dagster"
BROKER = "redis://:hidden@broker:6379/0"
WORKERS = {"ML_ASSETS_DAGSTER": DATABASE, "ML_ASSETS_CELERY": BROKER}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are put back at the end."""
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.setenv("ML_ASSETS_DAGSTER", "")
    monkeypatch.setenv("ML_ASSETS_CELERY", "")


def of(home: Path, **variables: str) -> Settings:
    return settings({"ML_ASSETS_HOME": str(home), **variables})


def team(folder: Path, text: str) -> Path:
    folder.mkdir()
    (folder / "dagster.yaml").write_text(text)
    return folder


def test_without_a_file_ours_is_written_with_the_storage_by_its_variable(tmp_path: Path) -> None:
    current = of(tmp_path, ML_ASSETS_DAGSTER=DATABASE)
    prepare_home(current)
    text = (tmp_path / "dagster" / "dagster.yaml").read_text()
    assert yaml.safe_load(text) == CONFIG | {"storage": STORAGE}
    assert "secret" not in text


def test_a_home_that_gets_a_database_says_so_in_its_file(tmp_path: Path) -> None:
    prepare_home(of(tmp_path))
    prepare_home(of(tmp_path, ML_ASSETS_DAGSTER=DATABASE))
    assert yaml.safe_load((tmp_path / "dagster" / "dagster.yaml").read_bytes())["storage"] == STORAGE


def test_a_home_whose_database_is_no_longer_named_is_refused(tmp_path: Path) -> None:
    prepare_home(of(tmp_path, ML_ASSETS_DAGSTER=DATABASE))
    with pytest.raises(DagsterSettingsRefused, match="the database that ML_ASSETS_DAGSTER names, and that is not set"):
        prepare_home(of(tmp_path))


def test_what_a_team_wrote_stays_to_the_letter_and_what_it_lacks_is_added_once(tmp_path: Path) -> None:
    written = "# our own\ntelemetry: {enabled: true}  # on purpose\nrun_launcher:\n  module: ours\n  class: Launcher\n"
    folder = team(tmp_path / "team", written)
    current = of(tmp_path / "home", DAGSTER_HOME=str(folder))
    prepare_home(current)
    first = (folder / "dagster.yaml").read_text()
    assert first.startswith(written)
    assert yaml.safe_load(first) == CONFIG | yaml.safe_load(written)
    prepare_home(current)
    assert (folder / "dagster.yaml").read_text() == first
    assert current.dagster_home == folder
    assert workspace_file(current).parent == tmp_path / "home" / "dagster"


def test_a_team_s_own_coordinator_and_limits_stay_and_what_they_cost_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    given = {"run_queue": {"max_concurrent_runs": 5}}
    folder = team(tmp_path / "team", yaml.safe_dump(given))
    with caplog.at_level(logging.WARNING, "ml_assets.dagster"):
        for _ in range(2):
            prepare_home(of(tmp_path / "home", DAGSTER_HOME=str(folder)))
    after = yaml.safe_load((folder / "dagster.yaml").read_bytes())
    assert after["run_queue"] == given["run_queue"]
    assert not {"run_coordinator", "concurrency"} & after.keys()
    assert [record.message for record in caplog.records if "may overlap" in record.message] == [caplog.records[0].message]


@pytest.mark.parametrize("own", ["storage: {sqlite: {base_dir: /x}}", "run_storage: {module: a, class: B}"])
def test_two_places_for_dagster_s_storage_are_refused(tmp_path: Path, own: str) -> None:
    folder = team(tmp_path / "team", own)
    with pytest.raises(DagsterSettingsRefused, match=r"storage:`\), and so does ML_ASSETS_DAGSTER; leave one of them out"):
        prepare_home(of(tmp_path / "home", DAGSTER_HOME=str(folder), ML_ASSETS_DAGSTER=DATABASE))
    assert (folder / "dagster.yaml").read_text() == own


@pytest.mark.parametrize(("text", "message"), [("[", "is not YAML"), ("- a", "holds no settings by name")])
def test_a_file_that_is_no_settings_is_named(tmp_path: Path, text: str, message: str) -> None:
    folder = team(tmp_path / "team", text)
    with pytest.raises(DagsterSettingsRefused, match=f"{folder}/dagster.yaml {message}"):
        prepare_home(of(tmp_path / "home", DAGSTER_HOME=str(folder)))


def test_a_dagster_home_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DagsterSettingsRefused, match=r"DAGSTER_HOME is .*none, which is no folder"):
        prepare_home(of(tmp_path / "home", DAGSTER_HOME=str(tmp_path / "none")))


def test_the_folder_of_another_home_is_not_taken_for_a_team_s(tmp_path: Path) -> None:
    prepare_home(of(tmp_path / "one"))
    other = of(tmp_path / "two", DAGSTER_HOME=str(tmp_path / "one" / "dagster"))
    assert other.dagster_home == tmp_path / "two" / "dagster"


def test_another_database_than_postgresql_is_refused() -> None:
    with pytest.raises(SettingRefused, match=r"ML_ASSETS_DAGSTER begins with mysql://.*give postgresql://"):
        settings({"ML_ASSETS_DAGSTER": "mysql://db/dagster"})


def test_a_home_with_a_broker_hands_its_runs_to_workers_until_none_is_named(tmp_path: Path) -> None:
    written = tmp_path / "dagster" / "dagster.yaml"
    prepare_home(of(tmp_path, ML_ASSETS_DAGSTER=DATABASE))
    prepare_home(of(tmp_path, **WORKERS))
    assert yaml.safe_load(written.read_text()) == CONFIG | {"storage": STORAGE, "run_launcher": LAUNCHERS[0]}
    assert "hidden" not in written.read_text()
    prepare_home(of(tmp_path, ML_ASSETS_DAGSTER=DATABASE))
    assert yaml.safe_load(written.read_text()) == CONFIG | {"storage": STORAGE}


def test_two_ways_to_launch_runs_are_refused_and_so_is_a_launcher_without_its_broker(tmp_path: Path) -> None:
    folder = team(tmp_path / "team", "run_launcher: {module: ours, class: Launcher}")
    with pytest.raises(DagsterSettingsRefused, match=r"run_launcher:`\), and so does ML_ASSETS_CELERY; leave one of them out"):
        prepare_home(of(tmp_path / "home", DAGSTER_HOME=str(folder), **WORKERS))
    (folder / "dagster.yaml").write_text("nux: {enabled: true}")
    prepare_home(of(tmp_path / "home", DAGSTER_HOME=str(folder), **WORKERS))
    with pytest.raises(DagsterSettingsRefused, match=r"the broker that ML_ASSETS_CELERY names, and that is not set; set it"):
        prepare_home(of(tmp_path / "home", DAGSTER_HOME=str(folder), ML_ASSETS_DAGSTER=DATABASE))


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"ML_ASSETS_DAGSTER": DATABASE, "ML_ASSETS_CELERY": "amqp://broker"}, r"begins with amqp://; give a Redis"),
        ({"ML_ASSETS_CELERY": BROKER}, r"set ML_ASSETS_DAGSTER to a PostgreSQL database too"),
    ],
)
def test_a_broker_that_runs_cannot_go_by_is_refused(variables: dict[str, str], message: str) -> None:
    with pytest.raises(SettingRefused, match=message):
        settings(variables)


def test_a_run_that_a_command_made_is_not_taken_for_a_worker_s_that_died() -> None:
    run = dg.DagsterRun(job_name="shop_path")
    launcher = WorkerLauncher(default_queue="dagster", broker="redis://127.0.0.1:1/0", backend="redis://127.0.0.1:1/0")
    assert launcher.check_run_worker_health(run).status == WorkerStatus.RUNNING
    assert launcher.get_run_worker_debug_info(run) is None


def test_processes_that_are_started_get_the_database_and_the_team_s_folder(tmp_path: Path) -> None:
    folder = team(tmp_path / "team", "")
    current = of(tmp_path / "home", DAGSTER_HOME=str(folder), ML_ASSETS_DAGSTER=DATABASE)
    assert settings(current.environ()) == current


def test_a_mounted_url_reaches_dagster_with_the_driver_that_its_storage_is_made_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With another driver each event of a run fails on a statement that PostgreSQL doesn't know."""
    (tmp_path / "dagster").write_text(DATABASE)
    monkeypatch.setenv("ML_ASSETS_DAGSTER_FILE", str(tmp_path / "dagster"))
    monkeypatch.setattr("os.environ", dict(os.environ))
    pin(tmp_path / "home")
    assert os.environ["ML_ASSETS_DAGSTER"] == DATABASE.replace("postgresql", "postgresql+psycopg2")
