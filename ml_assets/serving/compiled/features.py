"""Feature values by the compiled features.sql; a row that leaves the range in which it is exact goes to DuckDB.

The compiled function is used only if it gives DuckDB's values, to the last bit, for every probe row when the bundle is loaded.
"""

import datetime as dt
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ml_assets.serving.compiled.sql.numpy_code import FeatureFunction
from ml_assets.serving.compiled.sql.query import compile_query
from ml_assets.serving.compiled.unsupported import Unsupported
from ml_assets.serving.plain.duckdb_features import DuckDbFeatures, FeatureQuery, UncomputableRow
from ml_assets.serving.plain.feature_values import FeatureValues, Row
from ml_assets.serving.requests.field import Field

_MOMENTS = (("2016-02-29T05:00:00", "1999-12-31T00:30:00"), ("2012-12-31T23:59:59.999999", "2013-06-30T04:59:59"))
SINGLE_PROBES = 16
"""Probe rows that are also computed one at a time."""


@dataclass
class CompiledFeatures:
    """Computes feature values with `function`, and with `reference` those of rows that the function leaves to DuckDB."""

    function: FeatureFunction
    reference: DuckDbFeatures
    left_to_duckdb: int = 0
    """Rows so far."""
    engine: Literal["compiled"] = "compiled"

    def compute(self, rows: Sequence[Row]) -> FeatureValues:
        """Feature values of request rows (their fields in order), in the order of the rows. Raises UncomputableRow."""
        if not rows:
            return self.reference.compute(rows)
        values, unsure = self.function(list(zip(*rows, strict=True)), len(rows))
        if not unsure.any():
            return values
        positions = np.flatnonzero(unsure).tolist()
        self.left_to_duckdb += len(positions)
        return values.with_rows(positions, self.reference.compute([rows[position] for position in positions]))


def compile_features(query: FeatureQuery, reference: DuckDbFeatures, golden: Sequence[Row]) -> CompiledFeatures:
    """Compile a release's features.sql. Raises Unsupported for SQL outside of the subset, or a result that isn't DuckDB's."""
    function = compile_query(query)
    if (row := _first_difference(function, reference, list(probes(query.fields, golden, query.key)))) is not None:
        raise Unsupported(f"compiled, row {row} gave other values than in DuckDB")
    return CompiledFeatures(function, reference)


def _first_difference(function: FeatureFunction, reference: DuckDbFeatures, rows: Sequence[Row]) -> int | None:
    """The first row for which the function is sure of other values than DuckDB's, among all the others or alone."""
    expected = _by_duckdb(reference, rows)
    groups = [list(range(len(rows))), *([number] for number in range(min(len(rows), SINGLE_PROBES)))]
    return next((number for group in groups for number in _differing(function, reference, rows, expected, group)), None)


def _differing(
    function: FeatureFunction, reference: DuckDbFeatures, rows: Sequence[Row], expected: Sequence[Row | None], group: list[int]
) -> list[int]:
    if not group:
        return []
    values, unsure = function(list(zip(*(rows[number] for number in group), strict=True)), len(group))
    sure = [number for number, is_unsure in zip(group, unsure.tolist(), strict=True) if not is_unsure]
    computable = [row for number in sure if (row := expected[number]) is not None]
    if len(computable) < len(sure):
        return [number for number in sure if expected[number] is None]
    differing = values.only(~unsure).differing(FeatureValues.of_rows(computable, reference.features))
    return [sure[position] for position in differing]


def _by_duckdb(reference: DuckDbFeatures, rows: Sequence[Row]) -> Sequence[Row | None]:
    """The values of each row, None for one that DuckDB refuses."""
    try:
        return reference.compute_rows(rows)
    except UncomputableRow:
        if len(rows) == 1:
            return [None]
        return [values for row in rows for values in _by_duckdb(reference, [row])]


def probes(fields: Sequence[Field], golden: Sequence[Row], key: Sequence[str] = ()) -> Iterator[Row]:
    """The golden rows, and the first two with one field at a time at the edges of what a request may hold.

    Where text is part of the key each row gets a key of its own: DuckDB then computes all at once, 10 ms instead of 10 ms a row.
    """
    yield from golden
    numbers = itertools.count()
    keys = [n for n, field in enumerate(fields) if field.name in key and field.type == "string" and field.listed is None]
    for turn, row in enumerate(golden[:2]):
        for position, field in enumerate(fields):
            for value in _edges(field, is_second=bool(turn)):
                probe = [*row[:position], value, *row[position + 1 :]]
                if keys and keys[0] != position:
                    probe[keys[0]] = f"{row[keys[0]]} {next(numbers)}"
                yield tuple(probe)


def _edges(field: Field, *, is_second: bool) -> list[Any]:
    values: list[Any] = [None] if field.nullable else []
    if field.listed is not None:
        return [*values, *field.listed[int(is_second) :: 2][:20]]
    if field.type in ("integer", "number"):
        exact = int if field.type == "integer" else float
        values += [exact(limit) for limit in (field.ge, field.le) if limit is not None]
        return values + ([exact(7 if is_second else 0)] if field.ge is None or field.ge <= 0 else [])
    if field.type == "timestamp":
        return [*values, *map(dt.datetime.fromisoformat, _MOMENTS[is_second])]
    return [*values, is_second] if field.type == "boolean" else [*values, "" if is_second else "É no such value"]
