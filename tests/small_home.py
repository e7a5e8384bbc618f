"""One small home with three days taken down the whole path, for tests that look at what stands there then."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests import path_support
from tests.path_support import Days

DAYS = ("2013-01-01", "2013-01-02", "2013-01-03")
"""The first has no candidate yet, the second and third are released."""
RUN_EACH = """
import sys
from ml_assets.cli import cli
for day in sys.argv[1:]:
    try:
        cli(["run", "flights", "--partition", day])
    except SystemExit as ended:
        if ended.code:
            raise
"""
"""`ml-assets run` for each day in one process: the imports are paid once."""


def small_home(factory: pytest.TempPathFactory) -> Days:
    """Made once in a session of tests, whoever asks first."""
    folder = factory.getbasetemp() / "small-home"
    days = Days(folder / "home", folder / "products")
    if not folder.exists():
        folder.mkdir()
        days = path_support.made(folder)
        for day in DAYS:
            days.deliver(day)
        command = [sys.executable, "-c", RUN_EACH, *DAYS]
        done = subprocess.run(command, env=days.environ, capture_output=True, text=True, timeout=280, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return days


def kept_environment(days: Days, home: Path) -> dict[str, str]:
    """The settings of the small home, for processes that are started beside `ml-assets`."""
    return {**days.environ, "DAGSTER_HOME": str(home / "dagster")}
