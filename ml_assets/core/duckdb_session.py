"""DuckDB as every part of the project opens it: in UTC, without a download; and Parquet files read by their exact paths."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

SETTINGS = ("GLOBAL TimeZone = 'UTC'",)
"""GLOBAL: a cursor is a session of its own, which takes over no setting of the session that made it."""
_GLOB = re.compile(r"[\[*?]")


def connect(path: Path | None = None, *, read_only: bool = False) -> "duckdb.DuckDBPyConnection":
    """Open a database file, or one in memory."""
    import duckdb

    config: dict[str, str | bool | int | float | list[str]] = {"autoinstall_known_extensions": "false"}
    connection = duckdb.connect(str(path or ":memory:"), read_only=read_only, config=config)
    pin_session(connection)
    return connection


def pin_session(connection: "duckdb.DuckDBPyConnection") -> None:
    """Pin what the host would decide otherwise: functions of time take the session's time zone."""
    for setting in SETTINGS:
        connection.execute(f"SET {setting}")


def literal(path: Path | str) -> str:
    """The path as a pattern that matches this path alone: DuckDB takes `[`, `*` and `?` in a path for a glob."""
    return _GLOB.sub(lambda match: f"[{match.group()}]", str(path))


def parquet(paths: Sequence[Path]) -> str:
    """A table function over exactly these files, by the names of their columns: one that a file lacks is null there."""
    files = ", ".join("'" + literal(path).replace("'", "''") + "'" for path in paths)
    return f"read_parquet([{files}], union_by_name = true)"
