"""Feature values of requests: by the compiled function where it is proven to give DuckDB's, by DuckDB otherwise.

Both are made from the same features.sql. The compiled one is used only if it gives, to the last bit, what DuckDB gives for every
probe row when the bundle is loaded; a row that leaves its range is computed by DuckDB.
"""

import datetime as dt
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from ml_assets.serving.features.compiler.code import CompiledFeatures, Unsupported
from ml_assets.serving.features.compiler.compile import compile_features
from ml_assets.serving.features.duckdb_sql import FeatureSql, UncomputableRow
from ml_assets.serving.features.values import FeatureValues, Row
from ml_assets.serving.requests.field import Field

Engine = Literal["compiled", "duckdb"]
ALONE = 16
"""Probe rows that are also computed one at a time."""


@dataclass
class Features:
    """Computes feature values; `why_not` says why DuckDB does all of it, None when the compiled function does."""

    sql: FeatureSql
    function: CompiledFeatures | None = None
    why_not: str | None = None
    given_up: int = field(default=0)
    """Rows that the compiled function left to DuckDB."""

    @property
    def engine(self) -> Engine:
        return "duckdb" if self.function is None else "compiled"

    def compute(self, rows: Sequence[Row]) -> FeatureValues:
        """Feature values of request rows (their fields in order), in the order of the rows."""
        if self.function is None or not rows:
            return self._by_duckdb(rows)
        found, unsure = self.function(list(zip(*rows, strict=True)), len(rows))
        if not unsure.any():
            return found
        positions = np.flatnonzero(unsure).tolist()
        self.given_up += len(positions)
        return found.with_rows(positions, self._by_duckdb([rows[position] for position in positions]))

    def _by_duckdb(self, rows: Sequence[Row]) -> FeatureValues:
        return FeatureValues.of_rows(self.sql.compute(rows), self.sql.features)


def features(
    *,
    sql: str,
    relation: str,
    fields: Sequence[Field],
    key: Sequence[str],
    features: Sequence[Mapping[str, str]],
    lookups: Mapping[str, bytes],
    golden: Sequence[Row],
) -> Features:
    """The features of a bundle, from its SQL and lookups."""
    columns = {each.name: each.type for each in fields}
    reference = FeatureSql(sql=sql, relation=relation, columns=columns, key=key, features=features, lookups=lookups)
    nullable = frozenset(each.name for each in fields if each.nullable)
    within = {each.name: limits for each in fields if (limits := each.whole_limits) is not None}
    try:
        function = compile_features(
            sql=sql, relation=relation, columns=columns, nullable=nullable, within=within, features=features, lookups=lookups
        )
    except Unsupported as error:
        return Features(reference, why_not=str(error))
    if (row := _differing(function, reference, list(probes(fields, golden, key)))) is not None:
        return Features(reference, why_not=f"compiled, row {row} gave other values than in DuckDB")
    return Features(reference, function)


def _differing(function: CompiledFeatures, reference: FeatureSql, rows: Sequence[Row]) -> int | None:
    """The first row for which the function is sure of other values than DuckDB's, among all the others or alone."""
    expected = _by_duckdb(reference, rows)
    groups = [list(range(len(rows))), *([number] for number in range(min(len(rows), ALONE)))]
    return next((number for group in groups for number in _wrong(function, reference, rows, expected, group)), None)


def _wrong(
    function: CompiledFeatures, reference: FeatureSql, rows: Sequence[Row], expected: Sequence[Row | None], group: list[int]
) -> list[int]:
    if not group:
        return []
    found, unsure = function(list(zip(*(rows[number] for number in group), strict=True)), len(group))
    sure = [number for number, is_unsure in zip(group, unsure.tolist(), strict=True) if not is_unsure]
    known = [row for number in sure if (row := expected[number]) is not None]
    if len(known) < len(sure):
        return [number for number in sure if expected[number] is None]
    differing = found.only(~unsure).differing(FeatureValues.of_rows(known, reference.features))
    return [sure[position] for position in differing]


def _by_duckdb(reference: FeatureSql, rows: Sequence[Row]) -> Sequence[Row | None]:
    try:
        return reference.compute(rows)
    except UncomputableRow:
        if len(rows) == 1:
            return [None]
        return [found for row in rows for found in _by_duckdb(reference, [row])]


def probes(fields: Sequence[Field], golden: Sequence[Row], key: Sequence[str] = ()) -> Iterator[Row]:
    """The golden rows, and each of the first few with one field at a time at the edges of what a request may say.

    Where text is part of the key each gets a key of its own: DuckDB then computes all at once, 10 ms instead of 10 ms a row.
    """
    yield from golden
    numbers = itertools.count()
    text = next((n for n, each in enumerate(fields) if each.name in key and each.type == "string" and each.listed is None), None)
    for turn, row in enumerate(golden[:2]):
        for position, each in enumerate(fields):
            for value in _edges(each, odd=bool(turn)):
                found = [*row[:position], value, *row[position + 1 :]]
                if text is not None and text != position:
                    found[text] = f"{row[text]} {next(numbers)}"
                yield tuple(found)


def _edges(each: Field, *, odd: bool) -> list[Any]:
    values: list[Any] = [None] if each.nullable else []
    if each.listed is not None:
        return [*values, *each.listed[int(odd) :: 2][:20]]
    if each.type in ("integer", "number"):
        exact = int if each.type == "integer" else float
        values += [exact(limit) for limit in (each.ge, each.le) if limit is not None]
        return values + ([exact(7 if odd else 0)] if each.ge is None or each.ge <= 0 else [])
    if each.type == "timestamp":
        days = ["2012-12-31T23:59:59.999999", "2013-06-30T04:59:59"] if odd else ["2016-02-29T05:00:00", "1999-12-31T00:30:00"]
        return values + [dt.datetime.fromisoformat(day) for day in days]
    values += [odd] if each.type == "boolean" else ["" if odd else "É no such value"]
    return values
