"""Reading the prediction log: one prediction by its id, how many each release gave, or all."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_assets.core.duckdb_session import connect, literal
from ml_assets.serving.prediction_files import PredictionLogError, hour_folder, hours, parts
from ml_assets.serving.prediction_id import is_prediction_id
from ml_assets.serving.prediction_record import schema

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

TRIES = 5


def find(folder: Path, id: str) -> dict[str, Any] | None:
    """The record of one prediction, or None. Reads one hour: the id says which."""
    if not is_prediction_id(id):
        return None
    found = _select([hour_folder(folder, id)], "SELECT * FROM log WHERE id = ?", id).to_pylist()
    if not found:
        return None
    record = found[0]
    return {**record, "at": record["at"].isoformat(), "request": json.loads(record["request"])}


def find_in_any(folder: Path, id: str) -> dict[str, Any] | None:
    """The record of one prediction of any of the products that have a log in the folder, or None."""
    return next((found for each in sorted(folder.glob("*")) if (found := find(each, id))), None)


def count_predictions(folder: Path) -> Counter[tuple[str, str]]:
    """Predictions by (release, environment) of all that is logged under the folder."""
    counted = _select(hours(folder), "SELECT release, environment, count(*) AS n FROM log GROUP BY ALL").to_pylist()
    return Counter({(row["release"], row["environment"]): row["n"] for row in counted})


def read(folder: Path) -> "pl.DataFrame":
    """All predictions logged under the folder, by id and so by time; requests are JSON."""
    import polars as pl

    return pl.DataFrame(_select(hours(folder), "SELECT * FROM log ORDER BY id"))


def _select(within: Sequence[Path], sql: str, *given: str) -> "pa.Table":
    """The answer to a query of `log`, the records in the folders of these hours.

    What is merged while it is read is read again: its parts are gone, and all that they held is in another file.
    """
    import duckdb

    trouble: duckdb.Error | None = None
    for _ in range(TRIES):
        files = [str(part.path) for hour in within for part in parts(hour)]
        try:
            return _query(files, sql, given)
        except duckdb.Error as error:
            trouble = error
    raise PredictionLogError(f"the prediction log cannot be read: {trouble}") from trouble


def _query(files: list[str], sql: str, given: Sequence[str]) -> "pa.Table":
    with connect() as connection:
        log = connection.read_parquet(list(map(literal, files))) if files else connection.from_arrow(schema().empty_table())
        log.create_view("log")
        return connection.sql(sql, params=list(given)).to_arrow_table()
