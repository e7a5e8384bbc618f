"""A small home with everything that verify looks at, made by the code that writes, and never changed: tests copy it."""

import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.lineage.manifests import Output
from ml_assets.services.verify.home import verify
from resources.ledger.ledger import LedgerConflict
from resources.settings import Settings
from tests.conftest import settings_of
from tests.support.records import pointing, recipe, serves


def make(home: Path) -> Path:
    """A chain of snapshots with evidence, two releases that answer one after the other, and refused writes."""
    space = Workspace(settings_of(home))
    manifests = [space.lineage.make(recipe("raw"), lambda: Output({"rows.txt": b"raw rows"}, {"rows": 8}), run="r").manifest]
    for stage in ("dataset", "features", "model"):
        inputs = (manifests[-1].as_input(),)
        files = {f"{stage}.txt": stage.encode() * 30, "shared.txt": b"shared"}
        manifests.append(space.lineage.make(recipe(stage, inputs=inputs), lambda files=files: Output(files), run="r").manifest)
        space.ledger.add_evidence(subject=manifests[-1].id, claim="complete", passed=True, details={"rows": 1.5e-7}, run="r")
    for name in ("2013-01.aaaaaaaa", "2013-02.bbbbbbbb"):
        given = recipe("release", name[:7], code=name, inputs=(manifests[-1].as_input(),))
        output = Output({"model.cbm": name.encode()}, {"release": name})
        serves(space, space.lineage.make(given, lambda output=output: output, run="r").manifest)
    with suppress(LedgerConflict):
        space.ledger.move_pointer("promotion", pointing("late"), expected="nobody")
    space.ledger.close()
    return home


def copy(home: Path, to: Path) -> Path:
    return shutil.copytree(home, to)


def discrepancies_at(home: Path) -> list[tuple[str, str]]:
    """The failures: what kind, and where."""
    return [(one.kind, one.where) for one in verify(settings_of(home)).discrepancies if not one.is_note]


def notes(home: Path) -> list[tuple[str, str]]:
    return [(one.kind, one.where) for one in verify(settings_of(home)).discrepancies if one.is_note]


def contents(home: Path) -> dict[str, bytes]:
    """Every file's bytes."""
    return {p.relative_to(home).as_posix(): p.read_bytes() for p in sorted(home.rglob("*")) if p.is_file()}


def dump(database: Path) -> list[str]:
    """The statements that write the same schema and rows. The file is not written, nor its log read."""
    with closing(sqlite3.connect(f"file:{database}?immutable=1", uri=True)) as connection:
        return list(connection.iterdump())


def checked_files(home: Path) -> list[Path]:
    """The files that are held against the ledger: all but the caches."""
    return [path for path in sorted(home.rglob("*")) if path.is_file() and not path.is_relative_to(home / "cache")]


def settings_for(home: Path) -> Settings:
    return settings_of(home)
