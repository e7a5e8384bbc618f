"""The columns of a source: the kind of each, its values as that kind, and its name in SQL, in a request and in Python."""

import keyword
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from ml_assets.core.contract.casting import WIDE_INTEGERS, cast, without_nulls_in_words
from ml_assets.core.draft.csv_dialect import ENOUGH
from ml_assets.core.draft.number_forms import NumberForm, number_form
from ml_assets.core.draft.request import DraftRefused
from ml_assets.core.draft.time_forms import are_moments, is_of_digits
from ml_assets.spec.delivery import ReferenceSpec
from ml_assets.spec.yaml_file import unknown_name

Kind = Literal["integer", "number", "boolean", "time", "text", "empty"]
DTYPES: Mapping[Kind, pl.DataType] = {
    "integer": pl.Int64(),
    "number": pl.Float64(),
    "boolean": pl.Boolean(),
    "time": pl.Datetime("us"),
    "text": pl.String(),
    "empty": pl.String(),
}
PYTHON: Mapping[Kind, str] = {
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "time": "datetime",
    "text": "str",
    "empty": "str",
}
_NUMBERS = {"", "rows"}
_LEADING_ZERO = r"^[+-]?0\d"
_BOOLEAN_WORDS = {"true", "false"}
_PLAIN = re.compile(r"^[a-z_][a-z0-9_]*$")


@dataclass(frozen=True)
class SourceColumn:
    """`name` is as delivered, `field` the name of it in contract.py, SQL and a request. `values` (rows,) are of the kind,
    null where a value is missing; `misfits` counts those that are there and not of the kind. `form`: of texts that are numbers
    with something around them."""

    name: str
    field: str
    kind: Kind
    values: pl.Series
    missing: int
    misfits: int
    form: NumberForm | None = None

    @property
    def rows(self) -> int:
        """The number of rows, missing values included."""
        return len(self.values)

    @property
    def known(self) -> pl.Series:
        """The values that are not missing."""
        return self.values.drop_nulls()

    @property
    def is_number(self) -> bool:
        """Whether the values are integers or floats."""
        return self.kind in ("integer", "number")

    @property
    def is_level(self) -> bool:
        """Whether the values are texts, and no numbers in disguise."""
        return self.kind == "text" and self.form is None

    @property
    def sql(self) -> str:
        """The delivered name in SQL."""
        return quoted(self.name)


def without_kind(frame: pl.DataFrame) -> dict[str, pl.DataType]:
    """The columns that no contract can have, with their type: lists, durations, times of day, floats that are all infinite."""
    held = {name: dtype for name, dtype in frame.schema.items() if dtype != pl.String and _typed_kind(dtype) is None}
    floats = (name for name, dtype in frame.schema.items() if dtype.is_float())
    endless = {name: frame.schema[name] for name in floats if _is_endless(frame[name])}
    return {name: dtype for name, dtype in {**held, **endless}.items() if frame[name].null_count() < frame.height}


def _is_endless(values: pl.Series) -> bool:
    return bool(values.is_infinite().any()) and not bool(values.is_finite().any())


def columns_of(frame: pl.DataFrame, table: ReferenceSpec, *, time: str | None = None) -> dict[str, SourceColumn]:
    """The columns by delivered name, without those of `without_kind`. `time` holds moments also where they are written as
    numbers. Raises DraftRefused for names that no contract can have."""
    _refuse_names(frame.columns)
    frame = frame.drop(without_kind(frame))
    fields: dict[str, str] = {}
    for name in frame.columns:
        fields[name] = _field(name, taken=set(fields.values()))
    form = table.datetime_format
    moments = {name for name in frame.columns if is_of_digits(form) and _are_moments(frame[name], table, time)}
    return {name: _column(frame[name], fields[name], table, is_time=name in moments) for name in frame.columns}


def require(name: str, columns: Mapping[str, SourceColumn], *, option: str) -> SourceColumn:
    """The column of this name. Raises DraftRefused with the nearest names."""
    if name not in columns:
        raise DraftRefused(f"{option} {name}: there is no such column; {unknown_name(name, allowed=columns)}")
    return columns[name]


def quoted(name: str) -> str:
    """A name in SQL, in quotes unless it is plain and no word of the language."""
    return name if _PLAIN.match(name) and name not in _reserved() else '"' + name.replace('"', '""') + '"'


def _are_moments(values: pl.Series, table: ReferenceSpec, time: str | None) -> bool:
    """Whether whole numbers are moments: those of the column that was named, or where none was, of each that reads so."""
    return values.name == time if time else are_moments(values, table)


def _column(raw: pl.Series, field: str, table: ReferenceSpec, *, is_time: bool) -> SourceColumn:
    worded = without_nulls_in_words(raw, null_values=table.null_values)
    kind = "time" if is_time and _fits(worded, "time", table) else _kind(worded, table)
    values = worded.cast(pl.String) if kind == "empty" else cast(worded, DTYPES[kind], table=table)
    form = number_form(values.drop_nulls(), table) if kind == "text" else None
    return SourceColumn(raw.name, field, kind, values, worded.null_count(), values.null_count() - worded.null_count(), form)


def _kind(values: pl.Series, table: ReferenceSpec) -> Kind:
    known = values.drop_nulls()
    if known.is_empty():
        return "empty"
    if known.dtype != pl.String:
        is_beyond = known.dtype in WIDE_INTEGERS and known.cast(pl.Int64, strict=False).null_count() > 0
        return "text" if is_beyond else _typed_kind(known.dtype) or "text"
    if set(known.str.to_lowercase().unique().head(3).to_list()) <= _BOOLEAN_WORDS:
        return "boolean"
    if known.str.contains(_LEADING_ZERO).any() and known.str.contains(r"^[+-]?0\d+$").any():
        return "text"  # an account or a postal code: as a number it would lose its zeros
    kinds: Sequence[Kind] = ("integer", "number", "time")
    for kind in kinds:
        if kind == "time" and table.datetime_format.startswith("epoch"):
            continue
        if _fits(known, kind, table):
            return kind
    return "text"


def _fits(values: pl.Series, kind: Kind, table: ReferenceSpec) -> bool:
    """Whether nearly all of the values that are there are of the kind."""
    known = values.drop_nulls()
    return float(cast(known, DTYPES[kind], table=table).is_not_null().mean() or 0) >= ENOUGH  # type: ignore[arg-type]


def _typed_kind(dtype: pl.DataType) -> Kind | None:
    if dtype == pl.Boolean:
        return "boolean"
    if dtype.is_integer():
        return "integer"
    if dtype.is_numeric():
        return "number"
    if isinstance(dtype, pl.Date | pl.Datetime):
        return "time"
    if dtype in (pl.Categorical, pl.Enum):
        return "text"
    return None


def _refuse_names(names: Sequence[str]) -> None:
    if marked := [name for name in names if '"' in name or "\n" in name]:
        raise DraftRefused(f"column {marked[0]!r} has a quote or a line break in its name; rename it in the source")
    lowered = [name.lower() for name in names]
    if twice := [name for name in names if lowered.count(name.lower()) > 1]:
        raise DraftRefused(f"columns {', '.join(map(repr, twice))} differ only in capital letters; SQL takes them for one")


def plain_name(name: str) -> str:
    """The name in small Latin letters, digits and `_`, as near to how it is read as they come: `straße` becomes `strasse`; it may
    be empty."""
    from text_unidecode import unidecode

    return re.sub(r"\W+", "_", unidecode(name), flags=re.ASCII).strip("_").lower()


def _field(name: str, *, taken: set[str]) -> str:
    """A name that Python, SQL and a request all take as it is."""
    field = plain_name(name)
    if not field or field[0].isdigit():
        field = f"c_{field}".rstrip("_")
    if keyword.iskeyword(field) or field in _model_attributes() or field in _NUMBERS or field in _reserved():
        field = f"{field}_value"
    number, free = 2, field
    while free in taken:
        free, number = f"{field}_{number}", number + 1
    return free


def _model_attributes() -> set[str]:
    """Names that a pandera model has already."""
    import pandera.polars as pa

    return {*dir(pa.DataFrameModel), "datetime"}


_WORDS: dict[str, Any] = {}


def _reserved() -> frozenset[str]:
    """The words of DuckDB's language that are not names."""
    if "reserved" not in _WORDS:
        from ml_assets.core.duckdb_session import connect

        with connect() as connection:
            rows = connection.execute(
                "select keyword_name from duckdb_keywords() where keyword_category <> 'unreserved'"
            ).fetchall()
        _WORDS["reserved"] = frozenset(word for (word,) in rows)
    reserved: frozenset[str] = _WORDS["reserved"]
    return reserved
