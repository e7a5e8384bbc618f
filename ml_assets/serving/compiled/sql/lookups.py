"""A bundle's lookup as a dict from join key to its row, and an array for each column that the features use."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, cached_property, partial
from math import isnan, nan
from typing import Any

import numpy as np

from ml_assets.serving.compiled.sql.numpy_code import INT64, Columns, Kind, NumpyCode, Term
from ml_assets.serving.compiled.unsupported import Unsupported

_KEYS: tuple[Kind, ...] = ("string", "integer", "small", "date", "boolean")


class Lookup:
    """A table with one row for each key, read from Parquet."""

    def __init__(self, name: str, content: bytes) -> None:
        """Read the table from the bytes of a Parquet file."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.name = name
        self._table: pa.Table = pq.read_table(pa.BufferReader(content))

    @cached_property
    def columns(self) -> Mapping[str, str]:
        """Names as SQL sees them (lower case), and as the table has them."""
        names = {name.lower(): name for name in self._table.column_names}
        if len(names) < len(self._table.column_names):
            raise Unsupported(f"lookup {self.name}: columns that differ in case only")
        return names

    def row(self, code: NumpyCode, keys: Mapping[str, Term]) -> Columns:
        """Return the columns in the row with these keys, NULL where there is none. Raises Unsupported."""
        for name, given in keys.items():
            kind = self._kind(name)
            if kind not in _KEYS or {kind, given.kind} not in ({kind}, {"integer", "small"}):
                raise Unsupported(f"lookup {self.name}: {name} is {kind}, joined with {given.kind}")
        if any(given.literal is not None for given in keys.values()):
            raise Unsupported(f"lookup {self.name}: joined with a value that the SQL spells out")
        index = code.value(self._index(list(keys)))
        rows = code.variable(f"positions({index}, {', '.join(given.listing for given in keys.values())})")
        masked = [given for given in keys.values() if not given.given]  # a text field's own None is in no index
        if missing := code.missing(masked):
            rows = code.variable(f"where({missing}, -1, {rows})")
        usable = [name for name in self.columns if name not in keys and self._kind_or_none(name)]
        return _OrRefused({name: cache(partial(self._column, name, rows, code)) for name in usable})

    def _column(self, name: str, rows: str, code: NumpyCode) -> Term:
        """The column in these rows; its values have one more at the end, where -1 leads."""
        kind, given = self._kind(name), self._values(name)
        filler: Any = {"string": "", "number": nan, "boolean": False}.get(kind, 0)
        dtype = {"string": object, "number": np.float64, "boolean": np.bool_}.get(kind, np.int64)
        values = code.value(np.array([filler if value is None else value for value in [*given, None]], dtype=dtype))
        nulls = f"{code.value(np.array([value is None for value in [*given, None]]))}.take({rows})"
        missing = code.variable(nulls if None in given else f"{rows} < 0")
        known = [value for value in given if value is not None]
        within = (min(known), max(known)) if dtype is np.int64 and known else INT64
        may_be_nan = kind == "number" and any(map(isnan, known))
        column = code.variable(f"{values}.take({rows})")
        return Term(column, kind, missing, within=within, may_be_nan=may_be_nan, is_marked=kind == "number")

    def _index(self, keys: Sequence[str]) -> dict[Any, int]:
        """The row of each key. NULL equals nothing in SQL, so such a key is left out."""
        columns = [self._values(name) for name in keys]
        identities = columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))
        whole = [all(value is not None for value in key) for key in zip(*columns, strict=True)]
        index = {key: row for row, (key, is_whole) in enumerate(zip(identities, whole, strict=True)) if is_whole}
        if len(index) < sum(whole):
            raise Unsupported(f"lookup {self.name}: several rows with the same {', '.join(keys)}")
        return index

    def _values(self, name: str) -> list[Any]:
        import pyarrow as pa

        column = self._table[self.columns[name]]
        if self._kind(name) == "date":
            column = column.cast(pa.int32())
        elif self._kind(name) == "timestamp":
            column = column.cast(pa.int64())
        values: list[Any] = column.to_pylist()
        return values

    def _kind(self, name: str) -> Kind:
        kind = self._kind_or_none(name)
        if kind is None:
            raise Unsupported(f"lookup {self.name}: column {name}")
        return kind

    def _kind_or_none(self, name: str) -> Kind | None:
        import pyarrow as pa

        if name not in self.columns:
            return None
        kinds: dict[Any, Kind] = {
            pa.string(): "string", pa.large_string(): "string", pa.string_view(): "string", pa.int64(): "integer",
            pa.int32(): "small", pa.int16(): "small", pa.int8(): "small", pa.float64(): "number", pa.bool_(): "boolean",
            pa.date32(): "date", pa.timestamp("us"): "timestamp",
        }  # fmt: skip
        return kinds.get(self._table.schema.field(self.columns[name]).type)


class _OrRefused(dict[str, Callable[[], Term]]):
    def __missing__(self, name: str) -> Callable[[], Term]:
        raise Unsupported(f"column {name} of a lookup: its type, or that it is the join's key")
