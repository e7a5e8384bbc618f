"""The project's Dagster instance: its home, its settings file, opened."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from resources.settings import Settings
from resources.store.blobs import write_atomically

if TYPE_CHECKING:
    from dagster import DagsterInstance

ABOVE = ("", "ml_assets.")
"""What this package's name begins with, in a checkout and where it is built."""
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
"""What older code wrote, or the same code in a checkout or built: replaced. A file that somebody edited is left alone."""
LOCATION = "ml_assets"
WORKSPACE = {"load_from": [{"python_module": {"module_name": "ml_assets.definitions", "location_name": LOCATION}}]}
"""As workspace.yaml of a checkout says it; installed code has none."""


def prepare_home(settings: Settings) -> None:
    """Create Dagster's home with its settings and workspace, unless they are there already; make it Dagster's own."""
    for path, content in ((settings.dagster_home / "dagster.yaml", CONFIG), (workspace_file(settings), WORKSPACE)):
        if not path.exists() or yaml.safe_load(path.read_bytes()) in EARLIER:
            write_atomically(path, yaml.safe_dump(content, sort_keys=False).encode())
    os.environ["DAGSTER_HOME"] = str(settings.dagster_home)


def workspace_file(settings: Settings) -> Path:
    """The path of the workspace file that Dagster's processes load."""
    return settings.dagster_home / "workspace.yaml"


def open_instance(settings: Settings) -> "DagsterInstance":
    """The instance of the project's home; use it in a with statement."""
    from dagster import DagsterInstance

    prepare_home(settings)
    return DagsterInstance.get()


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
