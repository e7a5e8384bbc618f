"""Events of a run that are written without waiting for the disk: none is lost to a kill, and the files are Dagster's own."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import dagster as dg
from dagster._core.storage.event_log import SqliteEventLogStorage

from resources.dagster_events import written_lightly

RUN = "6a3ff7c4-0f6f-4b4f-8c1c-5f4c9f0c5a1e"
LINES = 20
SCRIPT = f"""
import os, signal, sys
import dagster as dg
from resources.dagster_events import written_lightly

@dg.op
def talk(context):
    for number in range({LINES}):
        context.log.info(f"line {{number}}")
    os.kill(os.getpid(), signal.SIGKILL)

@dg.job
def talking():
    talk()

with dg.DagsterInstance.local_temp(sys.argv[1]) as instance, written_lightly(instance):
    talking.execute_in_process(instance=instance, run_id="{RUN}")
"""


@dg.op
def look(context: dg.OpExecutionContext) -> list[str]:
    storage = context.instance.event_log_storage
    assert isinstance(storage, SqliteEventLogStorage)
    context.log.info("so that the log of the run is open again")
    files = Path(storage.path_for_shard("index")).parent.glob("*.db-wal")
    return sorted(path.name.removesuffix(".db-wal") for path in files)


@dg.job
def looking() -> None:
    look()


def messages(instance: dg.DagsterInstance) -> list[str]:
    return [record.event_log_entry.user_message for record in instance.get_records_for_run(RUN).records]


def test_a_kill_loses_no_event(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path)], env=os.environ, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        assert set(messages(instance)) >= {f"line {number}" for number in range(LINES)}


def test_the_logs_stay_open_while_the_run_lasts_and_are_folded_back_after_it(tmp_path: Path) -> None:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        plain = looking.execute_in_process(instance=instance)
        with written_lightly(instance):
            light = looking.execute_in_process(instance=instance, run_id=RUN)
        assert (plain.output_for_node("look"), light.output_for_node("look")) == ([], sorted(["index", RUN]))
        number = [len(instance.get_records_for_run(run).records) for run in (plain.run_id, RUN)]
        assert number[0] == number[1]
    assert not list(tmp_path.rglob("*.db-wal"))
    with sqlite3.connect(next(tmp_path.rglob(f"{RUN}.db"))) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_the_file_of_a_later_run_is_dagsters_own_and_holds_its_events_alone(tmp_path: Path) -> None:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        plain = looking.execute_in_process(instance=instance)
        for _ in range(2):
            with written_lightly(instance):
                later = looking.execute_in_process(instance=instance)
    files = [next(tmp_path.rglob(f"{run.run_id}.db")) for run in (plain, later)]
    assert _tables(files[0]) == _tables(files[1])
    with sqlite3.connect(files[1]) as connection:
        assert connection.execute("SELECT DISTINCT run_id FROM event_logs").fetchall() == [(later.run_id,)]
        assert connection.execute("SELECT min(id) FROM event_logs").fetchone() == (1,)


def _tables(file: Path) -> dict[str, object]:
    with sqlite3.connect(file) as connection:
        schema = connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
        pragmas = [connection.execute(f"PRAGMA {name}").fetchone() for name in ("journal_mode", "page_size", "user_version")]
        return {"schema": schema, "pragmas": pragmas, "revision": connection.execute("SELECT * FROM alembic_version").fetchall()}
