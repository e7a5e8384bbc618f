"""One small home with three days taken down the whole path, for tests that look at what stands there then."""

import shutil
from pathlib import Path

import pytest

from tests.support import command_line
from tests.support.command_line import Days
from tests.support.homes.path_homes import blank_pages, copy_home
from tests.support.shared import link_parsed_projects, made_once

DAYS = ("2013-01-01", "2013-01-02", "2013-01-03")
"""The first has no candidate yet, the second and third are released."""
WIDE = "'on the few rows of a day, nothing but a wide margin lets a candidate through'"
EXCEPTIONS = f"{{not_worse: {WIDE}, not_worse_anchor: {WIDE}, calibrated: {WIDE}}}"
MORE_DAYS = ("  on_inconclusive: keep", f"  exceptions: {EXCEPTIONS}\n  on_inconclusive: keep")
"""What the gates need to judge more days than the small home has."""


def small_home(factory: pytest.TempPathFactory, folder: Path) -> Days:
    """A copy of it in a new folder, whose endpoint has a port of its own."""
    folder_ = made_once(factory.getbasetemp(), "days", _three_days)
    shutil.copytree(folder_ / "products", folder / "products")
    copy_home(folder_ / "home", folder / "home")
    days = Days(folder / "home", folder / "products")
    days.edit(f"port: {days.flights.endpoint.port}", f"port: {command_line.free_port()}")
    return days


def _three_days(folder: Path) -> None:
    days = command_line.days_in(folder)
    link_parsed_projects(days.home)
    for day in DAYS:
        days.deliver(day)
        with blank_pages():
            done = days.invoke("run", "flights", "--partition", day)
        assert done.exit_code == 0, done.output


def kept_environment(days: Days, home: Path) -> dict[str, str]:
    """The settings of the small home, for processes that are started beside `ml-assets`."""
    return {**days.environ, "DAGSTER_HOME": str(home / "dagster")}
