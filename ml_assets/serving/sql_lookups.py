"""A bundle's lookup as a dict from join key to the columns that the features use."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ml_assets.serving.sql_code import Code, Kind, Term, Unsupported

if TYPE_CHECKING:
    pass

_KEYS: tuple[Kind, ...] = ("string", "integer", "small", "date", "boolean")


class Lookup:
    """A table with one row for each key, read from Parquet."""

    def __init__(self, name: str, content: bytes) -> None:
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

    def row(self, code: Code, keys: Mapping[str, Term]) -> dict[str, Term]:
        """The columns in the row with these keys, NULL where there is none."""
        for name, given in keys.items():
            kind = self._kind(name)
            if kind not in _KEYS or {kind, given.kind} not in ({kind}, {"integer", "small"}):
                raise Unsupported(f"lookup {self.name}: {name} is {kind}, joined with {given.kind}")
        usable = [name for name in self.columns if name not in keys and self._kind_or_none(name)]
        index = self._index(list(keys), usable)
        wanted = [given.code for given in keys.values()]
        key = wanted[0] if len(wanted) == 1 else f"({', '.join(wanted)})"
        get, missing = code.value(index.get), code.value((None,) * len(usable))
        names = code.unpack(len(usable), f"{get}({key}, {missing})") if usable else []
        found = {name: Term(variable, self._kind(name), True) for name, variable in zip(usable, names, strict=True)}
        return _OrRefused(found)

    def _index(self, keys: Sequence[str], usable: Sequence[str]) -> dict[Any, tuple[Any, ...]]:
        columns = [self._values(name) for name in keys]
        identities = columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))
        rows = list(zip(*map(self._values, usable), strict=True)) if usable else [()] * len(identities)
        # NULL equals nothing in SQL: such a key is never found.
        whole = [all(value is not None for value in key) for key in zip(*columns, strict=True)]
        index = {key: row for key, row, is_whole in zip(identities, rows, whole, strict=True) if is_whole}
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


class _OrRefused(dict[str, Term]):
    def __missing__(self, name: str) -> Term:
        raise Unsupported(f"column {name} of a lookup: its type, or that it is the join's key")
