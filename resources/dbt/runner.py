"""One dbt command in this process, with a manifest handed over, quietly, on a private database in memory.

dbt keeps its flags, its log and its DuckDB connection in module globals: one command at a time, all closed after it.
"""

import json
import logging
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_assets.core.duckdb_session import connect
from ml_assets.errors import MlAssetsError
from resources.environment import pin_variables

if TYPE_CHECKING:
    import duckdb
    from dbt.cli.main import dbtRunnerResult
    from dbt.contracts.graph.manifest import Manifest

    from resources.dbt.project import DbtProject

CATALOG = "features"  # that compiled SQL names, as in profiles.yml
_QUIET = ("--quiet", "--no-print", "--no-use-colors", "--no-version-check", "--no-send-anonymous-usage-stats")
_NO_LOG = ("--log-level", "none", "--log-level-file", "none", "--no-partial-parse")
_ONE_AT_A_TIME = threading.Lock()


class DbtFailed(MlAssetsError):
    """dbt could not build a product's relations."""


@dataclass(frozen=True)
class Database:
    """A database in memory that dbt opens by its name, next to `connection`; its compiled files go into `folder`."""

    name: str
    folder: Path
    connection: "duckdb.DuckDBPyConnection"


@contextmanager
def private_database(folder: Path) -> Iterator[Database]:
    """A new database, gone after the `with`; rows that are too many for the memory go into `folder` meanwhile.

    DuckDB would compress the tables of a file and wait for the disk, and what is read from here is deleted at once.
    """
    name = f":memory:{uuid.uuid4().hex}"
    with connect(Path(name)) as connection:
        connection.execute("SET GLOBAL temp_directory = ?", [str(folder / "spilled")])
        connection.execute(f"ATTACH ':memory:' AS {CATALOG}; USE {CATALOG}")
        yield Database(name, folder, connection)


@dataclass(frozen=True, kw_only=True)
class Node:
    """The result of one model or test."""

    status: str
    message: str
    failures: int | None
    sql: str
    path: str
    compiled_path: str


@dataclass(frozen=True, kw_only=True)
class DbtOutcome:
    """The nodes that a command ran, by name, and the error that ended it early."""

    nodes: Mapping[str, Node]
    error: str | None


def parse(project: Path, folder: Path) -> bytes:
    """Parse a project folder; the manifest as bytes, as dbt itself keeps it."""
    with _alone():
        from dbt.parser.manifest import extended_mashumaro_encoder

        done = _invoke(None, ["parse", *_places(project, folder), "--no-write-json"])
        if not done.success or done.result is None:
            raise DbtFailed(f"dbt cannot parse the project: {_one_line(done.exception)}")
        return bytes(done.result.to_msgpack(extended_mashumaro_encoder))


def invoke(command: str, project: "DbtProject", database: Database) -> DbtOutcome:
    """`dbt run` or `dbt test` on a database."""
    variables = ["--vars", json.dumps({"database": database.name, "duckdb": ":memory:"})]
    args = [command, *_places(project.path, database.folder), *variables, "--no-write-json", "--no-populate-cache"]
    with _alone():
        # read again each time: dbt marks in a manifest what it has compiled
        manifest = read_manifest(project)
        try:
            done = _invoke(manifest, args)
        finally:
            _close_database()
    ran = getattr(done.result, "results", None) or ()
    return DbtOutcome(
        nodes={result.node.name: _node(result) for result in ran},
        error=None if done.exception is None else _one_line(done.exception),
    )


def read_manifest(project: "DbtProject") -> "Manifest":
    """The manifest as `parse` made it."""
    from dbt.contracts.graph.manifest import Manifest
    from dbt.parser.manifest import extended_mashumuro_decoder

    return Manifest.from_msgpack(project.manifest.read_bytes(), decoder=extended_mashumuro_decoder)


def raise_if_failed(outcome: DbtOutcome, *, product: str) -> None:
    """Raise for the first model that did not succeed; those after it were skipped."""
    broken = ((name, node) for name, node in outcome.nodes.items() if node.status == "error")
    for name, node in broken:
        where = f"{node.path}, compiled to {node.compiled_path}"
        raise DbtFailed(f"{product}: the dbt model {name} ({where}) failed: {node.message}")
    if outcome.error or not outcome.nodes:
        raise DbtFailed(f"{product}: dbt ran no model: {outcome.error or 'it reported none'}")
    if left := sorted(name for name, node in outcome.nodes.items() if node.status != "success"):
        raise DbtFailed(f"{product}: dbt did not build {', '.join(left)}")


def name_no_callers() -> None:
    """For a message that nobody sees, each command of dbt looks up the module of every caller among all that are loaded: with
    Dagster, MLflow and Evidently there that takes 0.2 s of a command."""
    from dbt_common.behavior_flags import BehaviorFlagRendered

    BehaviorFlagRendered._default_source = staticmethod(lambda: "dbt.adapters")  # type: ignore[method-assign]


def _invoke(manifest: Any, args: list[str]) -> "dbtRunnerResult":
    from dbt.cli.main import dbtRunner

    name_no_callers()
    return dbtRunner(manifest=manifest).invoke([*_QUIET, *_NO_LOG, *args])


@contextmanager
def _alone() -> Iterator[None]:
    """One at a time, in the pinned environment; the root logger stays as it was: something that dbt imports sets it up."""
    with _ONE_AT_A_TIME:
        pin_variables()
        root = logging.getLogger()
        handlers, level = list(root.handlers), root.level
        try:
            yield
        finally:
            root.handlers[:] = handlers
            root.setLevel(level)


def _places(project: Path, folder: Path) -> list[str]:
    target = str(folder / "target")
    return ["--project-dir", str(project), "--profiles-dir", str(project), "--target-path", target, "--log-path", target]


def _close_database() -> None:
    """dbt-duckdb leaves the database open for the process's next command."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    if DuckDBConnectionManager._ENV is not None:
        DuckDBConnectionManager._ENV.close()
    DuckDBConnectionManager.close_all_connections()


def _node(result: Any) -> Node:
    node = result.node
    compiled = Path("target", "compiled", node.package_name, node.original_file_path)
    return Node(
        status=str(result.status),
        message=_one_line(result.message) if result.message else "",
        failures=result.failures,
        sql=getattr(node, "compiled_code", None) or "",
        path=node.original_file_path,
        compiled_path=str(compiled),
    )


def _one_line(text: object) -> str:
    return " ".join(str(text).split())
