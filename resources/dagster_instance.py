"""The project's Dagster instance: its home, its settings file, opened."""

import os
from typing import TYPE_CHECKING

import yaml

from resources.settings import Settings
from resources.store.blobs import write_atomically

if TYPE_CHECKING:
    from dagster import DagsterInstance

LONGEST_RUN_SECONDS = 3600
"""After this a run that its worker left behind is marked failed."""

CONFIG = {
    "telemetry": {"enabled": False},
    "nux": {"enabled": False},
    "run_monitoring": {"enabled": True, "max_runtime_seconds": LONGEST_RUN_SECONDS},
    "run_retries": {"enabled": True, "max_retries": 0},
    "concurrency": {
        "runs": {
            "max_concurrent_runs": 2,
            "tag_concurrency_limits": [{"key": "product", "value": {"applyLimitPerUniqueValue": True}, "limit": 1}],
        }
    },
}
"""Runs of one product go one after the other: a candidate is compared with what the run before it promoted."""


def prepare_home(settings: Settings) -> None:
    """Create Dagster's home with its settings, unless a `dagster.yaml` is there already; make it Dagster's own."""
    path = settings.dagster_home / "dagster.yaml"
    if not path.exists():
        write_atomically(path, yaml.safe_dump(CONFIG, sort_keys=False).encode())
    os.environ["DAGSTER_HOME"] = str(settings.dagster_home)


def open_instance(settings: Settings) -> "DagsterInstance":
    """The instance of the project's home; use it in a with statement."""
    from dagster import DagsterInstance

    prepare_home(settings)
    return DagsterInstance.get()
