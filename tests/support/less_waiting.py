"""What a session of tests spares itself: waiting for the disk, and what libraries compute again for every home."""

import importlib
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.script import ScriptDirectory
from dbt.clients.jinja_static import statically_extract_macro_calls
from dbt_common.clients.jinja import extract_toplevel_blocks, parse
from dbt_common.tests import enable_test_caching
from mlflow.store.db import utils as mlflow_tables
from sqlalchemy import Engine, Pool, create_engine, event

MACROS = {"macro", "materialization", "test", "data_test"}
_directories: dict[tuple[tuple[str, str], ...], ScriptDirectory] = {}
_open_directory = ScriptDirectory.from_config
_create_mlflow_tables = mlflow_tables._initialize_tables
_mlflow_databases: list[bytes] = []


def wait_for_no_disk() -> None:
    """Each file, and each commit of Dagster, MLflow and the ledger, waits for the disk, thousands of times in a session. A
    process that is killed loses nothing by this; where a test cuts the power, its own seam forgets (tests/support/faults)."""
    os.fsync = lambda fd: None
    event.listen(Pool, "checkout", _commit_at_once)


def keep_what_libraries_compute() -> None:
    """dbt parses its own macros for every project, a second each, and keeps them where tests ask for it; Alembic imports the
    revisions of Dagster's tables for every instance, a fifth of a second each; MLflow makes its tables by some seventy
    migrations, nearly a second for every home."""
    enable_test_caching()
    ScriptDirectory.from_config = _directory
    mlflow_tables._initialize_tables = _mlflow_tables


def create_mlflow_tables() -> None:
    """Make MLflow's tables, as this process and its forks keep them for every empty SQLite database."""
    _mlflow_tables(create_engine("sqlite://"))


def parse_macros() -> None:
    """Parse the macros of dbt and of its adapter, as dbt keeps them for every project of this process and of its forks."""
    for package in ("dbt.include.global_project", "dbt.include.duckdb"):
        for path in Path(importlib.import_module(package).PACKAGE_PATH).rglob("*.sql"):
            for block in extract_toplevel_blocks(path.read_text(), allowed_blocks=MACROS, collect_raw_data=False):
                parse(block.full_block)
                statically_extract_macro_calls(block.full_block, {})


def _commit_at_once(connection: object, record: Any, _: object) -> None:
    if isinstance(connection, sqlite3.Connection) and record.info.setdefault("waits", True):
        connection.execute("PRAGMA synchronous=OFF")
        record.info["waits"] = False


def _directory(config: Config) -> ScriptDirectory:
    section = config.get_section(config.config_ini_section) or {}
    places = tuple(sorted((name, value) for name, value in section.items() if name != "sqlalchemy.url"))
    if places not in _directories:
        _directories[places] = _open_directory(config)
    return _directories[places]


def _mlflow_tables(engine: Engine) -> None:
    if engine.dialect.name != "sqlite":
        _create_mlflow_tables(engine)
        return
    with closing(engine.raw_connection()) as pooled:
        database: Any = pooled.driver_connection
        is_empty = not database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if is_empty and _mlflow_databases:
            with closing(sqlite3.connect(":memory:")) as kept:
                kept.deserialize(_mlflow_databases[0])
                kept.backup(database)
            return
        _create_mlflow_tables(engine)
        if is_empty:
            _mlflow_databases.append(database.serialize())
