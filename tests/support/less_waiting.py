"""What a session of tests spares itself: waiting for the disk, and what libraries compute again for every home."""

import importlib
import os
import sqlite3
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.script import ScriptDirectory
from dbt.clients.jinja_static import statically_extract_macro_calls
from dbt_common.clients.jinja import extract_toplevel_blocks, parse
from dbt_common.tests import enable_test_caching
from sqlalchemy import Pool, event

MACROS = {"macro", "materialization", "test", "data_test"}
_directories: dict[tuple[tuple[str, str], ...], ScriptDirectory] = {}
_open_directory = ScriptDirectory.from_config


def wait_for_no_disk() -> None:
    """Each file, and each commit of Dagster, MLflow and the ledger, waits for the disk, thousands of times in a session. A
    process that is killed loses nothing by this; where a test cuts the power, its own seam forgets (tests/support/faults)."""
    os.fsync = lambda fd: None
    event.listen(Pool, "checkout", _commit_at_once)


def keep_what_libraries_compute() -> None:
    """dbt parses its own macros for every project, a second each, and keeps them where tests ask for it; Alembic imports the
    revisions of Dagster's tables for every instance, a fifth of a second each."""
    enable_test_caching()
    ScriptDirectory.from_config = _directory


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
