"""The rows that a product is drafted from: CSV and Parquet files, folders of them, or a SQL query."""

import os
import re
import string
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from ml_assets.core.contract.reading import DeliveryError, read_delivery
from ml_assets.core.draft.columns import plain_name
from ml_assets.core.draft.csv_dialect import csv_dialect
from ml_assets.core.draft.request import DraftRefused
from ml_assets.spec.delivery import ReferenceSpec
from ml_assets.spec.sources import REFERENCES
from resources.sources.databases import DatabaseAway, QueryRefused, database_of, without_password

CSV_SUFFIXES = (".csv", ".csv.gz", ".tsv", ".txt")
PARQUET_SUFFIXES = (".parquet", ".pq")
SUFFIXES = (*CSV_SUFFIXES, *PARQUET_SUFFIXES)
DEFAULT_TABLE = "records"


@dataclass(frozen=True)
class SourceQuery:
    """The database that was asked for the rows, as it was named, and the `query`."""

    database: str = field(repr=False)
    query: str


@dataclass(frozen=True)
class DraftSource:
    """`frame`: the rows as delivered, texts where they are of CSV. `spec`: how they are written. `table`: a name for them.
    `query`: where they are of a database."""

    frame: pl.DataFrame
    spec: ReferenceSpec
    table: str
    query: SourceQuery | None = None


def read_sources(sources: Sequence[str], *, query: str | None) -> DraftSource:
    """The rows of all sources together. Raises DraftRefused where one cannot be read, or where their columns differ."""
    if query is not None or any(map(_is_database, sources)):
        return _queried(sources, query)
    files = [file for source in sources for file in _files(Path(source))]
    formats = {_format(file) for file in files}
    if len(formats) > 1:
        raise DraftRefused(f"the sources are CSV and Parquet files; one table has one format: {files[0]}, {files[-1]}")
    parts = [_read(file) for file in files]
    (first, spec), *others = parts
    for file, (frame, other) in zip(files[1:], others, strict=True):
        if odd := sorted(set(frame.columns) ^ set(first.columns)):
            raise DraftRefused(f"{file} has other columns than {files[0]}: {', '.join(odd)}; all files are one table")
        if other != spec:
            raise DraftRefused(
                f"{file} is written differently from {files[0]} ({_differences(other, spec)}); a table is written in one way"
            )
    try:
        frame = pl.concat(
            [frame.select(first.columns) for frame, _ in parts], how="vertical" if spec.format == "csv" else "vertical_relaxed"
        )
    except pl.exceptions.PolarsError as error:
        raise DraftRefused(f"the files' columns are of different types: {str(error).splitlines()[0]}") from None
    return DraftSource(frame, spec, _table([Path(source) for source in sources]))


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


def _table(paths: Sequence[Path]) -> str:
    """A table's name from those of its files, of several the words that they begin with, else the first: letters, digits and
    `_`."""
    stems = [path.name.split(".")[0] if path.is_file() else path.name for path in paths]
    name = plain_name(_shared_words(stems) if len(stems) > 1 else stems[0]) or plain_name(stems[0])
    return name if re.match(r"^[a-z][a-z0-9_]*$", name) and name != "partition" else DEFAULT_TABLE


def _shared_words(names: Sequence[str]) -> str:
    """What all names begin with, without numbers at its end or a word that only some of them finish: `orders` of orders_2024_01
    and orders_2024_12, nothing of january and july."""
    common = os.path.commonprefix(names)  # noqa: RUF071  by letters is what is meant
    is_word_cut = any(name[len(common) :][:1].isalpha() for name in names)
    while is_word_cut and common[-1:].isalpha():
        common = common[:-1]
    return common.rstrip(string.digits + "_-. ")


def _queried(sources: Sequence[str], query: str | None) -> DraftSource:
    if query is None:
        raise DraftRefused(f"{without_password(sources[0])} is a database: say which rows: --query 'select … from …'")
    if len(sources) != 1 or not _is_database(sources[0]):
        raise DraftRefused(
            "--query asks one database, named by its URL, such as postgresql+psycopg://HOST/NAME or duckdb:///FILE, or by "
            "env:NAME, the variable that holds that"
        )
    try:
        frame = database_of(sources[0]).rows(query)
    except (QueryRefused, DatabaseAway) as error:
        raise DraftRefused(str(error)) from None
    if not frame.height:
        raise DraftRefused(f"the query gives no rows: {query}")
    return DraftSource(frame, ReferenceSpec(format="parquet"), DEFAULT_TABLE, SourceQuery(sources[0], query))


def _is_database(source: str) -> bool:
    return "://" in source or source.startswith(REFERENCES)
