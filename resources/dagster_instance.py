"""The project's Dagster instance: its home, its settings file, opened."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import yaml
from sqlalchemy.exc import DBAPIError

from ml_assets.errors import PassingFault
from resources.dagster_yaml import STORAGE, DagsterSettingsRefused, write_settings
from resources.settings import OWN_FOLDER, Settings, variable
from resources.store.blobs import write_atomically

if TYPE_CHECKING:
    from dagster import DagsterInstance

ABOVE = ("", "ml_assets.")
"""The beginning of this package's name, in a checkout and where it is built."""
CONFIG: dict[str, Any] = {
    "telemetry": {"enabled": False},
    "nux": {"enabled": False},
    "run_coordinator": {"module": f"{__package__}.dagster_queue", "class": "ProductQueue"},
    "run_monitoring": {"enabled": True, "start_timeout_seconds": 120},
    "run_retries": {"enabled": True, "max_retries": 0},
    "concurrency": {
        "runs": {
            "max_concurrent_runs": 2,
            "tag_concurrency_limits": [{"key": "product", "value": {"applyLimitPerUniqueValue": True}, "limit": 1}],
        }
    },
}
"""Runs of one product go one after the other: a candidate is compared with what the run before it promoted. No clock ends a run:
its lease says whether it lives (resources.ledger.leases)."""
EARLIER = [
    {name: value for name, value in CONFIG.items() if name != "run_coordinator"}
    | {"run_monitoring": {"enabled": True, "max_runtime_seconds": 3600}},
    *(CONFIG | {"run_coordinator": {"module": f"{above}resources.dagster_queue", "class": "ProductQueue"}} for above in ABOVE),
]
"""Texts that older code wrote, or the same code in a checkout or built: replaced. A file that somebody edited is left alone."""
LAUNCHERS: list[dict[str, Any]] = [
    {
        "module": f"{above}resources.workers.launcher",
        "class": "WorkerLauncher",
        "config": {"broker": {"env": "ML_ASSETS_CELERY"}, "backend": {"env": "ML_ASSETS_CELERY"}},
    }
    for above in ABOVE
]
"""The run launcher where `ML_ASSETS_CELERY` names a broker, in a checkout and built."""
LOCATION = "ml_assets"
WORKSPACE = {"load_from": [{"python_module": {"module_name": "ml_assets.definitions", "location_name": LOCATION}}]}
"""As workspace.yaml of a checkout says it; installed code has none."""


class DagsterStorageAway(PassingFault):
    """The database of Dagster's storage does not answer, or refuses."""


def prepare_home(settings: Settings) -> None:
    """Create Dagster's home with its settings and workspace, unless they are there already; make it Dagster's own. Into the
    `dagster.yaml` of a team's DAGSTER_HOME goes what it lacks. Raises DagsterSettingsRefused."""
    if settings.dagster:
        _require("dagster_postgres", "dagster", extra="postgres")
        os.environ[variable("dagster")] = settings.dagster_storage
    if settings.celery:
        _require("dagster_celery", "celery", extra="celery")
        os.environ[variable("celery")] = settings.celery
    if settings.team_dagster is None:
        marker = settings.dagster_home / OWN_FOLDER
        if not marker.exists():
            write_atomically(marker, b"Dagster's folder of a home of ml-assets.\n")
    elif not settings.dagster_home.is_dir():
        raise DagsterSettingsRefused(f"DAGSTER_HOME is {settings.dagster_home}, which is no folder; create it, or leave it out")
    launcher = next(one for one in LAUNCHERS if one["module"].startswith(f"{__package__}."))
    storage: dict[str, Any] = {"storage": STORAGE} if settings.dagster else {}
    wanted = CONFIG | storage | ({"run_launcher": launcher} if settings.celery else {})
    plain = [*EARLIER, CONFIG, *(CONFIG | {"run_launcher": one} for one in LAUNCHERS)]
    ours = [one | storage for one in plain] + (
        plain if settings.dagster else []
    )  # one with our storage never passes for one without
    write_settings(settings.dagster_home / "dagster.yaml", wanted, replaced=ours if settings.team_dagster is None else [])
    if not workspace_file(settings).exists():
        write_atomically(workspace_file(settings), yaml.safe_dump(WORKSPACE, sort_keys=False).encode())
    os.environ["DAGSTER_HOME"] = str(settings.dagster_home)


def workspace_file(settings: Settings) -> Path:
    """The path of the workspace file that Dagster's processes load: always the home's own."""
    return settings.home / "dagster" / "workspace.yaml"


def open_instance(settings: Settings) -> "DagsterInstance":
    """The instance of the project's home; use it in a with statement. Raises DagsterStorageAway."""
    from dagster import DagsterInstance

    prepare_home(settings)
    try:
        return DagsterInstance.get()
    except DBAPIError as error:
        if not settings.dagster:
            raise
        where = urlsplit(settings.dagster)._replace(netloc=urlsplit(settings.dagster).netloc.rpartition("@")[2]).geturl()
        why = str(error.orig or error).strip().splitlines()[0]
        raise DagsterStorageAway(
            f"Dagster's storage, {where.replace('+psycopg2', '')}, cannot be used: {why}; start it, or correct ML_ASSETS_DAGSTER"
        ) from error


def _require(module: str, setting: str, *, extra: str) -> None:
    if find_spec(module) is None:
        package = module.replace("_", "-")
        raise DagsterSettingsRefused(
            f"{variable(setting)} is set, and {package} is not installed: `pip install 'ml-assets[{extra}]'`"
        )


def show_under_job(settings: Settings, instance: "DagsterInstance", run_id: str) -> None:
    """Let Dagster's timeline and the page of a job show a run that no code location launched. Nothing is loaded for it: the
    run names our location as a launched one does. The workspace file, which somebody may have edited, is not read: this only
    informs, and can stop no run."""
    from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME
    from dagster._core.remote_origin import RemoteJobOrigin, RemoteRepositoryOrigin
    from dagster._core.storage.tags import REPOSITORY_LABEL_TAG
    from dagster._core.workspace.load import location_origins_from_config

    location = location_origins_from_config(WORKSPACE, str(workspace_file(settings)))[LOCATION]
    repository = RemoteRepositoryOrigin(location, SINGLETON_REPOSITORY_NAME)
    instance.add_run_tags(run_id, {REPOSITORY_LABEL_TAG: repository.get_label()})
    run = instance.get_run_by_id(run_id)
    assert run is not None
    instance.run_storage.replace_job_origin(run, RemoteJobOrigin(repository, run.job_name))
