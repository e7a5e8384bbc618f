"""The environment in which everything is computed: UTC, one locale, and no variable that a library takes for an option.

Belongs here: which variables are pinned, cleared and passed. Does not: our own settings (resources/settings.py).
"""

import os
import sys
import time
from pathlib import Path

from ml_assets.errors import MlAssetsError
from resources.settings import mounted_secrets, with_driver

PINNED = {"TZ": "UTC", "LC_ALL": "C.UTF-8", "LANG": "C.UTF-8"}
CLEARED = ("DBT_", "MLFLOW_", "_MLFLOW_", "PANDERA_", "POLARS_")
"""Variables that begin so are options of a library: they would change a result, or stop it, without being in any recipe."""
PASSED = ("MLFLOW_TRACKING_", "MLFLOW_S3_", "MLFLOW_GCS_", "MLFLOW_HTTP_", "MLFLOW_MYSQL_SSL_", "MLFLOW_KERBEROS_")
"""Of those, the ones that say how to reach MLflow and its artifacts: credentials, certificates, addresses, retries."""
PASSED_NAMES = frozenset(
    {
        "MLFLOW_ALLOW_HTTP_REDIRECTS",
        "MLFLOW_ARTIFACT_UPLOAD_DOWNLOAD_TIMEOUT",
        "MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE",
        "MLFLOW_DISABLE_TELEMETRY",
        "POLARS_MAX_THREADS",
        "POLARS_TEMP_DIR",
    }
)
NEVER_PASSED = frozenset({"MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_DIR"})
"""Where MLflow is, the settings say (`ML_ASSETS_MLFLOW`)."""
OWNER_BITS = 0o700


class EnvironmentRefused(MlAssetsError):
    """The process was started with settings under which it would read names and texts differently from others."""


def pin(home: Path) -> None:
    """Pin the environment of a process of ours, when it starts. Raises EnvironmentRefused where it is too late for that."""
    if (encoding := sys.getfilesystemencoding()) != "utf-8":
        raise EnvironmentRefused(f"file names are in {encoding} in this process; start it with PYTHONUTF8=1 or LC_ALL=C.UTF-8")
    mask = os.umask(0o077)
    os.umask(mask & ~OWNER_BITS)  # what the owner cannot read or enter is of no use to the next step
    os.environ.update(mounted_secrets(os.environ))  # Dagster reads the variables that its configuration names
    if database := os.environ.get("ML_ASSETS_DAGSTER"):
        os.environ["ML_ASSETS_DAGSTER"] = with_driver(database)
    os.environ["MPLCONFIGDIR"] = str(home / "cache" / "matplotlib")  # else it keeps its list of fonts below HOME
    pin_variables()


def pin_variables() -> None:
    """Pin and clear the variables, also those that something in this process set since it started.

    Nothing is put back: another thread may be computing.
    """
    for name in [name for name in os.environ if _is_cleared(name)]:
        os.environ.pop(name, None)
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # seven retries by default, each twice as far apart: a server that is away would hold a finished run open for minutes
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    if any(os.environ.get(name) != value for name, value in PINNED.items()):
        os.environ.update(PINNED)
        time.tzset()


def _is_cleared(name: str) -> bool:
    if not name.startswith(CLEARED):
        return False
    return name in NEVER_PASSED or not (name in PASSED_NAMES or name.startswith(PASSED))
