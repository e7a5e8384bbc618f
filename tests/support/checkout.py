"""A copy of this checkout whose code differs."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from resources.settings import ROOT
from tests.support.command_line import replace_in

RUN = ("checks", "dbt_project", "ml_assets", "resources", "sensors", "pyproject.toml", "workspace.yaml")
"""What a process of ours needs."""


def checkout(folder: Path, changes: Mapping[str, Mapping[str, str]]) -> Path:
    """A copy in which texts of files are replaced by others."""
    for name in RUN:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / name)
    for file, texts in changes.items():
        replace_in(folder / file, dict(texts))
    return folder
