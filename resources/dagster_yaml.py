"""Dagster's settings file: ours where there is none, and what ours needs added to the one that a team has."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ml_assets.errors import MlAssetsError
from resources.store.blobs import write_atomically

STORAGE: dict[str, Any] = {"postgres": {"postgres_url": {"env": "ML_ASSETS_DAGSTER"}}}
"""The storage that `ML_ASSETS_DAGSTER` names. The file says the variable, not its value: that may hold a password."""
_STORAGES = ("storage", "run_storage", "event_log_storage", "schedule_storage")
_INSTEAD = {"run_coordinator": ("run_queue",), "storage": _STORAGES[1:], "concurrency": ("run_queue",)}
"""Settings of Dagster that exclude one of ours."""
ADDED = "\n# Added by ml-assets, which needs it; what was here before is unchanged.\n"
_log = logging.getLogger("ml_assets.dagster")
_warned: set[str] = set()


class DagsterSettingsRefused(MlAssetsError):
    """dagster.yaml and the settings of this project contradict each other."""


def write_settings(path: Path, wanted: Mapping[str, Any], *, replaced: Sequence[Mapping[str, Any]]) -> None:
    """Make the file say what is wanted. One that is missing, or is one of `replaced`, is written whole; to any other one the keys
    that it lacks are added at its end. Raises DagsterSettingsRefused where it says something else of the storage."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    given = _mapping(path, text)
    if not text or given in replaced:
        if given != wanted:
            write_atomically(path, yaml.safe_dump(dict(wanted), sort_keys=False).encode())
        return
    _refuse_other_storage(path, given, wanted)
    _refuse_other_launcher(path, given, wanted)
    lacking = {name: value for name, value in wanted.items() if not {name, *_INSTEAD.get(name, ())} & given.keys()}
    _warn(path, given, wanted)
    if not lacking:
        return
    added = yaml.safe_dump(lacking, sort_keys=False)
    try:
        write_atomically(path, (text.rstrip("\n") + "\n" + ADDED + added).encode(), mode=path.stat().st_mode & 0o777)
    except OSError as error:
        raise DagsterSettingsRefused(f"{path} cannot be written ({error.strerror}); add to it:\n{added}") from error


def _mapping(path: Path, text: str) -> dict[str, Any]:
    try:
        given = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise DagsterSettingsRefused(f"{path} is not YAML: {str(error).splitlines()[0]}; mend it") from None
    if not isinstance(given, dict):
        raise DagsterSettingsRefused(f"{path} holds no settings by name; mend it")
    return given


def _refuse_other_storage(path: Path, given: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    other = next((name for name in _STORAGES if name in given), None)
    if "storage" in wanted and other and given.get("storage") != STORAGE:
        raise DagsterSettingsRefused(
            f"{path} says where Dagster's storage is (`{other}:`), and so does ML_ASSETS_DAGSTER; leave one of them out"
        )
    if "storage" not in wanted and given.get("storage") == STORAGE:
        raise DagsterSettingsRefused(
            f"{path}: Dagster's storage is the database that ML_ASSETS_DAGSTER names, and that is not set; set it, or take "
            "`storage:` out of the file to begin with an empty history"
        )


def _refuse_other_launcher(path: Path, given: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """A launcher of the team's own is left alone, but for a broker that says something else."""
    launcher = given.get("run_launcher")
    if "run_launcher" in wanted and launcher not in (None, wanted["run_launcher"]):
        raise DagsterSettingsRefused(
            f"{path} says how runs are launched (`run_launcher:`), and so does ML_ASSETS_CELERY; leave one of them out"
        )
    if "run_launcher" not in wanted and "ML_ASSETS_CELERY" in str(launcher):
        raise DagsterSettingsRefused(
            f"{path}: runs go to workers by the broker that ML_ASSETS_CELERY names, and that is not set; set it, or take "
            "`run_launcher:` out of the file"
        )


def _warn(path: Path, given: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Say once which of a team's own settings keep one of ours from working: they are a team's to decide."""
    if (given.get("run_coordinator") or given.get("run_queue")) and given.get("run_coordinator") != wanted["run_coordinator"]:
        _say(f"{path}: runs of one product may overlap with another `run_coordinator`; ours is {wanted['run_coordinator']}")
    limits = ((given.get("concurrency") or {}).get("runs") or {}).get("tag_concurrency_limits") or []
    if "concurrency" in given and not any(limit.get("key") == "product" for limit in limits):
        needed = wanted["concurrency"]["runs"]["tag_concurrency_limits"]
        _say(f"{path}: runs of one product may overlap; add to concurrency.runs.tag_concurrency_limits: {needed}")


def _say(message: str) -> None:
    if message not in _warned:
        _warned.add(message)
        _log.warning(message)
