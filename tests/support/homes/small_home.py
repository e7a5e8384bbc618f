"""One small home with three days taken down the whole path, for tests that look at what stands there then."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import command_line
from tests.support.command_line import Days
from tests.support.homes.path_homes import copy_home
from tests.support.shared import made_once

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


def small_home(factory: pytest.TempPathFactory, folder: Path) -> Days:
    """A copy of it in a new folder, whose endpoint has a port of its own."""
    made = made_once(factory.getbasetemp(), "days", _three_days)
    shutil.copytree(made / "products", folder / "products")
    copy_home(made / "home", folder / "home")
    days = Days(folder / "home", folder / "products")
    days.edit(f"port: {days.flights.endpoint.port}", f"port: {command_line.free_port()}")
    return days


def _three_days(folder: Path) -> None:
    days = command_line.made(folder)
    for day in DAYS:
        days.deliver(day)
    command = [sys.executable, "-c", RUN_EACH, *DAYS]
    done = subprocess.run(command, env=days.environ, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def kept_environment(days: Days, home: Path) -> dict[str, str]:
    """The settings of the small home, for processes that are started beside `ml-assets`."""
    return {**days.environ, "DAGSTER_HOME": str(home / "dagster")}
