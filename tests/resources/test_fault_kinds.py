"""Faults that pass are told from those that don't, and every step of a product is tried again after one."""

import errno
import sqlite3
import urllib.request
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import fsspec
import pytest
from sqlalchemy import create_engine, text

from ml_assets.definitions import build_defs
from ml_assets.spec.product import Product
from resources.dagster_resources import resources_of
from resources.dagster_retries import MOST_RETRIES, retried
from resources.ledger.ledger import LedgerConflict
from resources.passing_faults import passing_fault
from resources.settings import settings
from tests.support.command_line import free_port


def raised(act: Callable[[], object]) -> BaseException:
    with pytest.raises(Exception) as caught:  # noqa: PT011  whatever the library raises
        act()
    return caught.value


def on_sqlite(file: Path, statement: str) -> None:
    with create_engine(f"sqlite:///{file}", connect_args={"timeout": 0.01}).begin() as connection:
        connection.execute(text(statement))


def test_a_server_that_is_away_passes() -> None:
    address = f"http://127.0.0.1:{free_port()}/blob"
    store = fsspec.filesystem("http", skip_instance_cache=True)
    assert "Cannot connect to host" in passing_fault(raised(lambda: store.cat_file(address)))
    assert "refused" in passing_fault(raised(lambda: urllib.request.urlopen(address)))
    away = create_engine(f"postgresql+psycopg://nobody@127.0.0.1:{free_port()}/none")
    assert "OperationalError" in passing_fault(raised(away.connect))


def test_a_database_that_is_locked_passes_and_one_without_the_table_does_not(tmp_path: Path) -> None:
    file = tmp_path / "some.db"
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("CREATE TABLE rows (number INTEGER)")
    connection.execute("BEGIN IMMEDIATE")
    assert passing_fault(raised(lambda: on_sqlite(file, "INSERT INTO rows VALUES (1)"))) == "OperationalError: database is locked"
    connection.close()
    assert passing_fault(raised(lambda: on_sqlite(file, "INSERT INTO other VALUES (1)"))) == ""


def test_what_a_person_has_to_mend_does_not_pass() -> None:
    assert passing_fault(OSError(errno.ENOSPC, "No space left on device")) == ""
    assert passing_fault(OSError(errno.EIO, "Input/output error")) == ""
    assert passing_fault(PermissionError(errno.EACCES, "Permission denied")) == ""
    assert passing_fault(ValueError("no")) == ""
    conflict = LedgerConflict("another release serves by now")
    conflict.__cause__ = ConnectionError("refused")
    assert passing_fault(conflict) == "", "what our own code worded"
    wrapped = RuntimeError("the driver failed")
    wrapped.__cause__ = ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
    assert "Connection reset by peer" in passing_fault(wrapped)


def test_a_step_is_tried_as_often_as_said_and_then_fails_with_the_fault_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resources.dagster_retries.FIRST_WAIT_SECONDS", 0.01)
    tries: list[int] = []

    @dg.asset
    @retried
    def away(context: dg.AssetExecutionContext) -> None:
        tries.append(context.retry_number)
        raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")

    @dg.asset
    @retried
    def full(context: dg.AssetExecutionContext) -> None:
        tries.append(context.retry_number)
        raise OSError(errno.ENOSPC, "No space left on device")

    failed = dg.materialize([away], raise_on_error=False).get_step_failure_events()
    assert tries == [*range(MOST_RETRIES + 1)]
    assert "ConnectionRefusedError" in str(failed[0].step_failure_data.error)
    tries.clear()
    assert not dg.materialize([full], raise_on_error=False).success
    assert tries == [0]


def test_every_step_of_a_product_is_tried_again(product: Product, tmp_path: Path) -> None:
    definitions = build_defs({product.name: product}, resources_of(settings({"ML_ASSETS_HOME": str(tmp_path)})))
    steps = [*(definitions.assets or ()), *(definitions.asset_checks or ())]
    functions = {step.node_def.name: step.op.compute_fn.decorated_fn for step in steps}  # type: ignore[union-attr]
    assert len(functions) > 20
    assert [name for name, function in functions.items() if not hasattr(function, "__wrapped__")] == []
