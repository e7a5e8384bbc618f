"""The rows of a SQL query, on what SQLAlchemy has a driver for, or on DuckDB by its own.

An error names the database as it was named here, and repeats neither its URL nor what a driver says of a password.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import polars as pl

from ml_assets.errors import MlAssetsError, PassingFault
from resources.passing_faults import passing_fault

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Bounds = Mapping[str, datetime]
"""The values of a query's parameters, naive UTC."""
DUCKDB = "duckdb:///"
_NESTED = (list, tuple, dict, bytes, memoryview)


class QueryRefused(MlAssetsError):
    """A database cannot be asked, or it refuses the query; asking again is of no use."""


class DatabaseAway(PassingFault):
    """A database did not answer; asking again may help."""


@dataclass(frozen=True)
class Database:
    """A database by its URL. `name` is what errors call it: the reference that names it, or the URL without a password."""

    name: str
    url: str = field(repr=False)

    def rows(self, query: str, bounds: Bounds | None = None) -> pl.DataFrame:
        """The rows that the query gives, in the database's order. Parameters `:start` and `:end` take the bounds. Raises
        QueryRefused and DatabaseAway."""
        with self._worded():
            if self.url.startswith(DUCKDB):
                return self._of_duckdb(query, bounds or {})
            return self._of_sqlalchemy(query, bounds or {})

    def value(self, query: str, bounds: Bounds | None = None) -> str:
        """The one value that the query gives, as text; "" where it is missing. Raises what `rows` raises."""
        frame = self.rows(query, bounds)
        if frame.shape != (1, 1):
            raise QueryRefused(
                f"{self.name}: the query gives {frame.height} rows of {frame.width} columns, not one value: {query}"
            )
        value = frame.item()
        return "" if value is None else str(value)

    @property
    def dialect(self) -> str:
        """The kind of the database, as SQLAlchemy calls it."""
        return self.url.partition(":")[0].partition("+")[0]

    def quoted(self, column: str) -> str:
        """The name of a column as it is written in a query."""
        if self.dialect == "duckdb":
            return '"' + column.replace('"', '""') + '"'
        from sqlalchemy import create_engine

        with self._worded():
            return str(create_engine(self.url).dialect.identifier_preparer.quote(column))

    def _of_duckdb(self, query: str, bounds: Bounds) -> pl.DataFrame:
        with self._opened() as connection:
            text, values = _positional(query, bounds)
            frame: pl.DataFrame = connection.sql(text, params=values).pl()
        return pl.DataFrame([_plain(column) for column in frame])

    @contextmanager
    def _opened(self) -> Iterator["DuckDBPyConnection"]:
        from ml_assets.core.duckdb_session import connect

        file = Path(self.url.removeprefix(DUCKDB))
        if not file.is_file():
            raise QueryRefused(f"{file}: there is no such database file")
        with connect(file, read_only=True) as connection:
            yield connection

    def _of_sqlalchemy(self, query: str, bounds: Bounds) -> pl.DataFrame:
        from sqlalchemy import create_engine, text
        from sqlalchemy.pool import NullPool

        engine = create_engine(self.url, poolclass=NullPool, hide_parameters=True)
        dialect = engine.dialect.name
        values: Mapping[str, object] = bounds
        if dialect == "sqlite":  # it has no times: texts are compared
            values = {name: bound.isoformat(" ", "seconds") for name, bound in bounds.items()}
        with engine.connect() as connection:
            if dialect == "postgresql":
                connection = connection.execution_options(postgresql_readonly=True)  # noqa: PLW2901 - the same connection
                connection.exec_driver_sql("SET TIME ZONE 'UTC'")
            result = connection.execute(text(query), dict(values))
            names, rows = list(result.keys()), result.fetchall()
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise QueryRefused(f"{self.name}: the query names a column twice: {', '.join(twice)}; give one another name")
        return pl.DataFrame([_column(name, [row[place] for row in rows]) for place, name in enumerate(names)])

    @contextmanager
    def _worded(self) -> Iterator[None]:
        """Word what drivers raise. Nothing of it is chained: a driver's own message may have the URL in it."""
        import duckdb
        from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

        try:
            yield
        except NoSuchModuleError as error:
            scheme = self.url.partition(":")[0]
            raise QueryRefused(
                f"{self.name}: SQLAlchemy has no driver for {scheme}:// ({self._hidden(error)}); install the package that has it"
            ) from None
        except ArgumentError:
            raise QueryRefused(
                f"{self.name}: its value is not the URL of a database; such as postgresql+psycopg://user:password@host/name"
            ) from None
        except ModuleNotFoundError as error:
            raise QueryRefused(f"{self.name}: the driver {error.name} is not installed; `pip install {error.name}`") from None
        except duckdb.Error as error:
            raise QueryRefused(f"{self.name}: the query fails: {self._hidden(error)}") from None
        except SQLAlchemyError as error:
            raise self._failure(error) from None

    def _failure(self, error: Exception) -> MlAssetsError:
        message = self._hidden(getattr(error, "orig", None) or error)
        if passing_fault(error):
            return DatabaseAway(f"{self.name}: the database cannot be reached: {message}; check that it runs, and its URL")
        return QueryRefused(f"{self.name}: the query fails: {message}")

    def _hidden(self, error: object) -> str:
        """The message of a driver, in one line, without the URL and the password in it."""
        parts, message = urlsplit(self.url), " ".join(str(error).split())
        secrets = {self.url, parts.query, parts.password or "", unquote(parts.password or "")}
        for secret in sorted(filter(None, secrets), key=len, reverse=True):
            message = message.replace(secret, "***")
        return message


def database_of(reference: str, environ: Mapping[str, str] | None = None, *, folder: Path = Path()) -> Database:
    """The database of `env:NAME` or `file:PATH` (relative to `folder`), or of a URL. Raises QueryRefused where the reference
    leads nowhere."""
    kind, _, name = reference.partition(":")
    if kind == "env":
        url = (os.environ if environ is None else environ).get(name, "").strip()
        if not url:
            raise QueryRefused(f"the variable {name} is not set; set it to the URL of the database where this process is started")
        return Database(name, url)
    if kind == "file":
        try:
            url = (folder / name).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            raise QueryRefused(f"the file {name} cannot be read: {reason}; write the URL of the database into it") from None
        return Database(f"the file {name}", url)
    return Database(without_password(reference), reference)


def without_password(url: str) -> str:
    """A URL without its user, its password and its query."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl() if "@" in parts.netloc else url


def _positional(query: str, bounds: Bounds) -> tuple[str, list[datetime]]:
    """The query and its values as DuckDB takes them, with the parameters that SQLAlchemy would see."""
    from sqlalchemy import text
    from sqlalchemy.engine.default import DefaultDialect

    compiled: Any = text(query).bindparams(**bounds).compile(dialect=DefaultDialect(paramstyle="qmark"))
    return str(compiled), [bounds[name] for name in compiled.positiontup or ()]


def _column(name: str, values: list[object]) -> pl.Series:
    if any(isinstance(value, _NESTED) for value in values):
        odd = next(value for value in values if isinstance(value, _NESTED))
        raise QueryRefused(f"column '{name}' of the query holds {type(odd).__name__}; select numbers, texts, booleans and times")
    try:
        column = pl.Series(name, values, strict=True)
    except (TypeError, pl.exceptions.PolarsError):
        column = pl.Series(name, values, dtype=pl.Object)
    if column.dtype != pl.Object:
        return column
    return pl.Series(name, [None if value is None else str(value) for value in values], dtype=pl.String)


def _plain(column: pl.Series) -> pl.Series:
    if column.dtype.is_nested() or column.dtype in (pl.Binary, pl.Object):
        raise QueryRefused(f"column '{column.name}' of the query holds {column.dtype}; select numbers, texts, booleans and times")
    return column
