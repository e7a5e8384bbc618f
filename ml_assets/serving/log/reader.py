"""Reads the prediction log: one prediction by its id, counts by release, or all."""

import json
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_assets.core.duckdb_session import connect, parquet
from ml_assets.errors import MlAssetsError
from ml_assets.serving.log.hour_files import files, hour_folder, hours
from ml_assets.serving.log.prediction_id import is_prediction_id
from ml_assets.serving.log.question_times import QuestionTimes
from ml_assets.serving.log.record import schema

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa


class PredictionLogError(MlAssetsError):
    """The log has something other than whole files of predictions."""


def find(folder: Path, id: str) -> dict[str, Any] | None:
    """Return the record of one prediction, or None. Reads one hour, which the id gives. Raises PredictionLogError."""
    if not is_prediction_id(id):
        return None
    records = _select([hour_folder(folder, id)], "SELECT * FROM log WHERE id = ?", id).to_pylist()
    if not records:
        return None
    [record] = records
    return {**record, "at": record["at"].isoformat(), "request": json.loads(record["request"])}


def find_requests(folder: Path, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the requests of the predictions with these ids, by id, as far as they are in the log. Raises PredictionLogError."""
    known = [id for id in dict.fromkeys(ids) if is_prediction_id(id)]
    within = [*{hour_folder(folder, id): None for id in known}]
    records = _select(within, "SELECT id, request FROM log WHERE id IN (SELECT unnest(?))", known).to_pylist() if known else []
    return {record["id"]: json.loads(record["request"]) for record in records}


def find_in_any(folder: Path, id: str) -> dict[str, Any] | None:
    """Return the record of one prediction of any product with a log in the folder, or None. Raises PredictionLogError."""
    return next((record for log in sorted(folder.glob("*")) if (record := find(log, id))), None)


def count_predictions(folder: Path) -> Counter[tuple[str, str]]:
    """Count the predictions in the folder by (release, environment). Raises PredictionLogError."""
    counts = _select(hours(folder), "SELECT release, environment, count(*) AS n FROM log GROUP BY ALL").to_pylist()
    return Counter({(row["release"], row["environment"]): row["n"] for row in counts})


def read(folder: Path) -> "pl.DataFrame":
    """Return all predictions in the folder, sorted by id and so by time; requests are JSON. Raises PredictionLogError."""
    import polars as pl

    return pl.DataFrame(_select(hours(folder), "SELECT * FROM log ORDER BY id"))


def read_about(times: QuestionTimes) -> "pl.DataFrame":
    """Return the predictions whose questions are about a span of time, or about a day next to it, sorted by id; requests are
    JSON. Reads the files alone that have such. Raises PredictionLogError."""
    import polars as pl

    sql = f"SELECT * FROM log WHERE {times.condition} ORDER BY id"
    return pl.DataFrame(_select(hours(times.folder), sql, chosen=times.chosen))


def _select(
    within: Sequence[Path],
    sql: str,
    *parameters: str | list[str],
    chosen: Callable[[Sequence[Path]], Collection[Path]] | None = None,
) -> "pa.Table":
    """The result of a query of `log`, the records in the folders of these hours, each once; of the `chosen` files only.

    When a compaction removes a file before it is read, its records are in another one, so the query runs again.
    """
    import duckdb

    while True:
        by_hour = [paths for hour in within if (paths := files(hour))]
        try:
            if chosen is not None:
                kept = chosen([path for paths in by_hour for path in paths])
                by_hour = [some for paths in by_hour if (some := [path for path in paths if path in kept])]
            with connect() as connection:
                connection.from_arrow(schema().empty_table()).create_view("nothing")
                return connection.sql(f"WITH log AS ({_log(by_hour)}) {sql}", params=list(parameters)).to_arrow_table()
        except duckdb.Error as error:
            if all(path.exists() for paths in by_hour for path in paths):
                raise PredictionLogError(f"the prediction log cannot be read: {error}") from error


def _log(by_hour: Sequence[Sequence[Path]]) -> str:
    """A query of every record once. A file holds no id twice, and an id is in one hour: where an hour is one file, as after its
    compaction, counting takes no look at the ids."""
    alone = [paths[0] for paths in by_hour if len(paths) == 1]
    several = [path for paths in by_hour if len(paths) > 1 for path in paths]
    queries = ["FROM nothing"]
    queries += [f"FROM {parquet(alone)}"] if alone else []
    queries += [f"SELECT DISTINCT ON (id) * FROM {parquet(several)}"] if several else []
    return " UNION ALL BY NAME ".join(queries)
