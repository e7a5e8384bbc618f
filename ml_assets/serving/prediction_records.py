"""Reading the prediction log, for monitoring."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from ml_assets.errors import MlAssetsError

SCHEMA = {
    "id": pl.String(),
    "at": pl.Datetime("us"),
    "release": pl.String(),
    "environment": pl.String(),
    "score": pl.Float64(),
    "decision": pl.Boolean(),
}
_LOGGED = {**SCHEMA, "at": pl.String()}


class PredictionLogError(MlAssetsError):
    """A log file holds something else than whole records."""


@dataclass(frozen=True)
class LoggedPredictions:
    """The records by time, the request as a struct column; `torn` names files whose last line a kill cut off."""

    frame: pl.DataFrame
    torn: tuple[Path, ...]


def read(folder: Path) -> LoggedPredictions:
    """All predictions logged under `folder`, whichever process served them."""
    torn: list[Path] = []
    records = [record for path in sorted(folder.rglob("*.jsonl")) for record in _records(path, torn)]
    if not records:
        return LoggedPredictions(pl.DataFrame(schema={**SCHEMA, "request": pl.Struct([])}), tuple(torn))
    columns = [pl.Series(name, [record[name] for record in records], dtype=kind) for name, kind in _LOGGED.items()]
    request = pl.DataFrame([record["request"] for record in records], infer_schema_length=None).to_struct("request")
    frame = pl.DataFrame([*columns, request]).with_columns(pl.col("at").str.to_datetime(time_unit="us"))
    return LoggedPredictions(frame.sort("at", "id"), tuple(torn))


def find(folder: Path, id: str) -> dict[str, Any] | None:
    """The record of one prediction, or None; reads line by line and parses only lines that hold the id."""
    mark = id.encode()
    for path in sorted(folder.rglob("*.jsonl")):
        with path.open("rb") as lines:
            for line in lines:
                if mark in line and line.endswith(b"\n") and (record := json.loads(line))["id"] == id:
                    return dict(record)
    return None


def count_by_release(folder: Path, *, environment: str) -> Counter[str]:
    """How many predictions each release gave in one environment, over all files of the log."""
    records = (record for path in sorted(folder.rglob("*.jsonl")) for record in _records(path, []))
    return Counter(record["release"] for record in records if record["environment"] == environment)


def _records(path: Path, torn: list[Path]) -> Iterator[dict[str, Any]]:
    whole, _, rest = path.read_bytes().rpartition(b"\n")
    if rest:
        torn.append(path)
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            yield json.loads(line)
        except ValueError as error:
            raise PredictionLogError(f"{path}: line {number} is not a record: {error}") from error
