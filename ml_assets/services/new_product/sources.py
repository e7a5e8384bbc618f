"""The rows that a product is drafted from: CSV and Parquet files, folders of them, or a SQL query."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import polars as pl

from ml_assets.core.contract.reading import DeliveryError, read_delivery
from ml_assets.core.draft.csv_dialect import csv_dialect
from ml_assets.core.draft.request import DraftRefused
from ml_assets.spec.delivery import ReferenceSpec
from ml_assets.spec.yaml_file import unknown_name

CSV_SUFFIXES = (".csv", ".csv.gz", ".tsv", ".txt")
PARQUET_SUFFIXES = (".parquet", ".pq")
SUFFIXES = (*CSV_SUFFIXES, *PARQUET_SUFFIXES)
DEFAULT_TABLE = "records"
_PYTHON_TYPES = (list, dict, bytes)


@dataclass(frozen=True)
class Asked:
    """The database that was asked for the rows, as it was named, and the query."""

    database: str = field(repr=False)
    query: str


@dataclass(frozen=True)
class DraftSource:
    """`frame`: the rows as delivered, texts where they are of CSV. `spec`: how they are written. `table`: a name for them.
    `asked`: where they are of a database."""

    frame: pl.DataFrame
    spec: ReferenceSpec
    table: str
    asked: Asked | None = None


def read_sources(sources: Sequence[str], *, query: str | None) -> DraftSource:
    """The rows of all sources together. Raises DraftRefused where one cannot be read, or where their columns differ."""
    urls = [source for source in sources if "://" in source]
    if query is not None or urls:
        return _queried(sources, query)
    files = [file for source in sources for file in _files(Path(source))]
    formats = {_format(file) for file in files}
    if len(formats) > 1:
        raise DraftRefused(f"the sources are CSV and Parquet files; one table has one format: {files[0]}, {files[-1]}")
    parts = [_read(file) for file in files]
    (first, spec), *others = parts
    for file, (frame, other) in zip(files[1:], others, strict=True):
        if frame.columns != first.columns:
            odd = sorted(set(frame.columns) ^ set(first.columns))
            raise DraftRefused(
                f"{file} has other columns than {files[0]}: {', '.join(odd) or 'another order'}; all files are one table"
            )
        if other != spec:
            raise DraftRefused(
                f"{file} is written differently from {files[0]} ({_differences(other, spec)}); a table is written in one way"
            )
    try:
        frame = pl.concat([frame for frame, _ in parts], how="vertical" if spec.format == "csv" else "vertical_relaxed")
    except pl.exceptions.PolarsError as error:
        raise DraftRefused(f"the files' columns are of different types: {str(error).splitlines()[0]}") from None
    return DraftSource(frame, spec, _table(Path(sources[0])))


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        files = sorted(
            file for file in path.rglob("*") if file.name.endswith(SUFFIXES) and not file.name.startswith(".") and file.is_file()
        )
        if not files:
            raise DraftRefused(f"{path} holds no files whose names end in {', '.join(SUFFIXES)}")
        return files
    if not path.is_file():
        raise DraftRefused(f"{path}: there is no such file or folder; a database is named by its URL, with --query")
    return [path]


def _format(file: Path) -> str:
    return "parquet" if file.name.endswith(PARQUET_SUFFIXES) or _begins_like_parquet(file) else "csv"


def _begins_like_parquet(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(4) == b"PAR1"


def _read(file: Path) -> tuple[pl.DataFrame, ReferenceSpec]:
    content = file.read_bytes()
    spec = ReferenceSpec(format="parquet") if _format(file) == "parquet" else csv_dialect(content, name=str(file))
    try:
        return read_delivery(content, table=spec, name=str(file)), spec
    except DeliveryError as error:
        raise DraftRefused(str(error).replace("; deliver the file again", "; mend the file")) from None


def _differences(one: ReferenceSpec, other: ReferenceSpec) -> str:
    pairs = {name: (value, getattr(other, name)) for name, value in one.model_dump().items()}
    return ", ".join(f"{name} {a!r} and {b!r}" for name, (a, b) in pairs.items() if a != b)


def _table(path: Path) -> str:
    """A table's name from a file's: letters, digits and `_`."""
    stem = path.name.split(".")[0] if path.is_file() else path.name
    name = re.sub(r"\W+", "_", stem, flags=re.ASCII).strip("_").lower()
    return name if re.match(r"^[a-z][a-z0-9_]*$", name) and name != "partition" else DEFAULT_TABLE


def _queried(sources: Sequence[str], query: str | None) -> DraftSource:
    if query is None:
        raise DraftRefused(f"{_shown(sources[0])} is a database: say which rows: --query 'select … from …'")
    if len(sources) != 1 or "://" not in sources[0]:
        raise DraftRefused(
            "--query asks one database, named by its URL, such as postgresql+psycopg://HOST/NAME or duckdb:///FILE"
        )
    url = sources[0]
    frame = _from_duckdb(url, query) if url.startswith("duckdb:///") else _from_sqlalchemy(url, query)
    if not frame.height:
        raise DraftRefused(f"the query gives no rows: {query}")
    return DraftSource(frame, ReferenceSpec(format="parquet"), DEFAULT_TABLE)


def _from_duckdb(url: str, query: str) -> pl.DataFrame:
    import duckdb

    from ml_assets.core.duckdb_session import connect

    file = Path(url.removeprefix("duckdb:///"))
    if not file.is_file():
        raise DraftRefused(f"{file}: there is no such database file")
    try:
        with connect(file, read_only=True) as connection:
            rows: pl.DataFrame = connection.sql(query).pl()
            return rows
    except duckdb.Error as error:
        raise DraftRefused(f"{_shown(url)}: the query fails: {' '.join(str(error).split())}") from None


def _from_sqlalchemy(url: str, query: str) -> pl.DataFrame:
    from sqlalchemy import create_engine, text
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

    try:
        engine = create_engine(url)
        with engine.connect() as connection:
            result = connection.execute(text(query))
            names, rows = list(result.keys()), result.fetchall()
    except (ArgumentError, NoSuchModuleError) as error:
        raise DraftRefused(f"{_shown(url)} is not a URL of a database that can be reached: {error}") from None
    except ModuleNotFoundError as error:
        raise DraftRefused(f"{_shown(url)}: the driver {error.name} is not installed; `pip install {error.name}`") from None
    except SQLAlchemyError as error:
        raise DraftRefused(f"{_shown(url)}: the query fails: {str(getattr(error, 'orig', error)).splitlines()[0]}") from None
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DraftRefused(f"the query names a column twice: {', '.join(twice)}; {unknown_name(twice[0], allowed=names)}")
    return pl.DataFrame({name: _column(name, [row[place] for row in rows]) for place, name in enumerate(names)})


def _column(name: str, values: list[object]) -> pl.Series:
    if odd := next((value for value in values if isinstance(value, _PYTHON_TYPES)), None):
        raise DraftRefused(f"column '{name}' of the query holds {type(odd).__name__}; select numbers, texts, booleans and times")
    try:
        return pl.Series(name, values, strict=True)
    except (TypeError, pl.exceptions.PolarsError):
        return pl.Series(name, [None if value is None else str(value) for value in values])


def _shown(url: str) -> str:
    """A URL without its password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl() if "@" in parts.netloc else url
