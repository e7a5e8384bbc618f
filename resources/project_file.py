"""A project folder: where a team keeps its products, with a file that says where home and products are.

`ml-assets.env` holds `ML_ASSETS_*` settings, one a line, for every command that is run in the folder or below it. A variable of
the environment comes before it.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from ml_assets.errors import MlAssetsError

FILE = "ml-assets.env"
_PREFIX = "ML_ASSETS_"
_PATHS = ("ML_ASSETS_HOME", "ML_ASSETS_PRODUCTS", "ML_ASSETS_LANDING", "ML_ASSETS_NOTIFY", "ML_ASSETS_UPSTREAM")
"""Settings that are paths: a relative one begins in the project's folder, wherever a command is run."""


class ProjectFileRefused(MlAssetsError):
    """A line of a project's file is not a setting."""


def project_folder(start: Path) -> Path | None:
    """The nearest folder with a project's file: `start`, or one above it."""
    return next((folder for folder in (start, *start.parents) if _is_file(folder / FILE)), None)


def project_environ(folder: Path) -> dict[str, str]:
    """The settings of a project's file. Raises ProjectFileRefused, also where somebody else put the file there: products are
    code."""
    if (folder / FILE).stat().st_uid not in (os.getuid(), 0):
        whose = f"{folder / FILE} belongs to another user, whose products would be run"
        raise ProjectFileRefused(f"{whose}; take it over, or work elsewhere")
    values: dict[str, str] = {}
    for number, written in enumerate((folder / FILE).read_text(encoding="utf-8").splitlines(), start=1):
        line = written.strip()
        if not line or line.startswith("#"):
            continue
        name, sign, value = (part.strip() for part in line.partition("="))
        if not sign or not name.startswith(_PREFIX):
            wrong = f"{folder / FILE}:{number}: {line!r} is not a setting"
            raise ProjectFileRefused(f"{wrong}; write lines such as {_PREFIX}HOME=.ml_assets")
        values[name] = _absolute(value, folder) if name in _PATHS else value
    return values


def with_project(environ: Mapping[str, str], start: Path | None) -> dict[str, str]:
    """The environment, with the settings of the project that `start` lies in where it has none of its own."""
    folder = project_folder(start) if start is not None else None
    return {**(project_environ(folder) if folder else {}), **environ}


def current_folder() -> Path | None:
    """The folder that this process is run in; None where it was removed."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        return None


def _is_file(path: Path) -> bool:
    """Whether there is such a file; one in a folder that this user may not enter is not there."""
    try:
        return path.is_file()
    except PermissionError:
        return False


def _absolute(value: str, folder: Path) -> str:
    """Each path of a list, below the folder; a URL is one already."""
    if "://" in value:
        return value
    return os.pathsep.join(str(folder / path) for path in value.split(os.pathsep) if path)
