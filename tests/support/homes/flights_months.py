"""Three months of the real flights, every tenth departure, taken down the path once per session; tests go on from copies."""

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from ml_assets.core.lineage.stages import LEAVES
from ml_assets.services.demo_flights import Year
from tests.support.homes.flights_days import flights
from tests.support.homes.path_homes import Home, Run, blank_pages, home
from tests.support.shared import made_once

MONTHS = ("2013-01", "2013-02", "2013-03")
NEXT = "2013-04"
DATA = ("raw", "reference", "dataset", "quarantine", "features")
TOO_FAR = b"99999"
SMALL = (
    (r"iterations: 100", "iterations: 5"),
    (r"learning_rate: 0\.1", "learning_rate: 0.5"),
    (r"depth: 8", "depth: 4"),
    (r"> -0\.03\d?\}", "> -0.25}"),
    (r"> 0\.60\}", "> 0.3}"),
    (r"< 0\.01\}", "< 0.02}"),
    (r"< 0\.05, family", "< 1, family"),
    (r"alpha: 0\.05, looks: 2, ships: 1", "alpha: 0.45, looks: 5, ships: 5, exception: few rows in tests"),
    (r"smoke_rows: 200", "smoke_rows: 20"),
)
"""Five trees, margins that so few can keep on a tenth of the departures, and a window that may be asked again."""
WEAK = (
    (r"iterations: 5", "iterations: 1"),
    (r"depth: 4", "depth: 1"),
    (r"learning_rate: 0\.5", "learning_rate: 0.01"),
    (r"border_count: 64", "border_count: 64\n    random_strength: 1000000"),
)
"""One split, drawn by lot."""
MORE = ((r"iterations: 5", "iterations: 9"),)


@dataclass(frozen=True)
class Months:
    """The home after three months, and the run of each."""

    home: Home
    runs: dict[str, Run]


@cache
def year() -> Year:
    return Year.open()


def month(key: str) -> dict[str, bytes]:
    """A month's delivery: every tenth departure, all of the weather. The first of January has an impossible distance."""
    tables = year().month(key)
    header, *rows = tables["flights"].rstrip(b"\n").split(b"\n")
    rows = rows[::10]
    if key == MONTHS[0]:
        rows[0] = changed(rows[0], column=header.split(b",").index(b"distance"), value=TOO_FAR)
    return {**tables, "flights": b"\n".join([header, *rows, b""])}


def changed(row: bytes, *, column: int, value: bytes) -> bytes:
    fields = row.split(b",")
    fields[column] = value
    return b",".join(fields)


def with_column(content: bytes, name: str, value: bytes, *, every: int = 1) -> bytes:
    """The delivery with another value in every n-th row of a column."""
    header, *rows = content.rstrip(b"\n").split(b"\n")
    column = header.split(b",").index(name.encode())
    rows = [changed(row, column=column, value=value) if i % every == 0 else row for i, row in enumerate(rows)]
    return b"\n".join([header, *rows, b""])


def _two_months_of_data(folder: Path) -> None:
    """The first two months up to their features, whatever the model and the gates will be."""
    own_home = home(folder / "home", flights())
    own_home.edit("contract.py", (r'"min_rows": 10_000', '"min_rows": 1_000'))
    own_home.deliver("", year().reference())
    first, second, _ = MONTHS
    own_home.deliver(first, month(first))
    run = own_home.run(first)
    own_home.deliver(second, month(second))
    assert own_home.run(second, only=DATA).success
    own_home.close()
    (folder / "first.pickle").write_bytes(pickle.dumps(run))


def with_data(base: Path, folder: Path) -> tuple[Home, Run]:
    """A new home that has the data of the first two months, and the first month's run."""
    folder_ = made_once(base, "two-months-of-data", _two_months_of_data)
    return Home(folder_ / "home", flights().name).copy(folder), pickle.loads((folder_ / "first.pickle").read_bytes())


@cache
def _own_copy(base: Path) -> Months:
    def three_months(folder: Path) -> None:
        own_home, first = with_data(base, folder / "home")
        own_home.edit("product.yaml", *SMALL)
        runs = {MONTHS[0]: first}
        for key in MONTHS[1:]:
            own_home.deliver(key, month(key))
            with blank_pages():
                runs[key] = own_home.run(key, leaves=LEAVES)
        own_home.close()
        (folder / "runs.pickle").write_bytes(pickle.dumps(runs))

    folder = made_once(base, "three-months", three_months)
    own = Home(folder / "home", flights().name).copy(base / "three-months")
    return Months(own, pickle.loads((folder / "runs.pickle").read_bytes()))


@pytest.fixture(scope="session")
def months(tmp_path_factory: pytest.TempPathFactory) -> Months:
    """Import this fixture where it is used: the months are made once all the same."""
    return _own_copy(tmp_path_factory.getbasetemp())


@pytest.fixture
def copy(months: Months, tmp_path: Path) -> Home:
    """A home of the test's own, with the three months in it."""
    return months.home.copy(tmp_path / "home")


@pytest.fixture(scope="module")
def copies(months: Months, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Home]:
    """Makes homes that several tests look at."""
    return lambda: months.home.copy(tmp_path_factory.mktemp("home"))
