"""`verify` looks at a copy of the ledger's file, made while others write."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ml_assets.services.verify.ledger_file import copy_database


def test_a_last_writer_that_removes_its_log_during_the_copy_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, copy_file = tmp_path / "ledger.db", shutil.copyfile
    writer = sqlite3.connect(path)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("CREATE TABLE rows (n INTEGER)")

    def after_the_writer_has_left(source: Path, target: Path) -> Any:
        if source.name.endswith("-wal"):
            writer.close()
            assert not source.exists()
        return copy_file(source, target)

    monkeypatch.setattr(shutil, "copyfile", after_the_writer_has_left)
    (folder := tmp_path / "copy").mkdir()
    with closing(sqlite3.connect(copy_database(path, folder))) as copy:
        assert copy.execute("SELECT count(*) FROM rows").fetchall() == [(0,)]
