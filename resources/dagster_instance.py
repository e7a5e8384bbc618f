"""The project's Dagster instance: its home, its settings file, opened."""

import os
from pathlib import Path
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
WORKSPACE = {"load_from": [{"python_module": {"module_name": "ml_assets.definitions", "location_name": "ml_assets"}}]}
"""As workspace.yaml of a checkout says it; installed code has none."""


def prepare_home(settings: Settings) -> None:
    """Create Dagster's home with its settings and workspace, unless they are there already; make it Dagster's own."""
    for path, content in ((settings.dagster_home / "dagster.yaml", CONFIG), (workspace_file(settings), WORKSPACE)):
        if not path.exists():
            write_atomically(path, yaml.safe_dump(content, sort_keys=False).encode())
    os.environ["DAGSTER_HOME"] = str(settings.dagster_home)


def workspace_file(settings: Settings) -> Path:
    """What Dagster's processes load."""
    return settings.dagster_home / "workspace.yaml"


def open_instance(settings: Settings) -> "DagsterInstance":
    """The instance of the project's home; use it in a with statement."""
    from dagster import DagsterInstance

    prepare_home(settings)
    return DagsterInstance.get()
