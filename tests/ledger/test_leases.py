"""A run that renews no lease is ended, and nothing more of it is recorded; one that lives is ended by no clock."""

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.tags import GRPC_INFO_TAG

from ml_assets.cli.shared.workspace import Workspace
from ml_assets.services.automation.dead_runs import GRACE_SECONDS, ORPHAN_SECONDS, end_dead_runs
from ml_assets.spec.product import Product
from resources.ledger import leases
from resources.ledger.ledger import Ledger
from resources.settings import ROOT
from tests.support.records import manifest

RUN = "5" * 32


@pytest.fixture
def ledger(workspace: Workspace) -> Ledger:
    return workspace.ledger


def started(
    product: Product, *, status: dg.DagsterRunStatus = dg.DagsterRunStatus.STARTED, tags: dict[str, str] | None = None
) -> dg.DagsterInstance:
    """A Dagster in which a run of the product goes on."""
    instance = dg.DagsterInstance.ephemeral()
    of_run = {"product": product.name, "dagster/partition": "2013-01", **(tags or {})}
    instance.add_run(dg.DagsterRun(f"{product.name}_path", run_id=RUN, tags=of_run, status=status))
    return instance


def silent_for(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let so many seconds pass for whoever asks for the time."""
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + seconds)


@pytest.mark.long
def test_a_lease_is_renewed_while_its_run_lives(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "RENEW_SECONDS", 0.05)
    monkeypatch.setattr(leases, "EXPIRED_SECONDS", 1.0)
    with leases.hold(ledger.engine, RUN), leases.hold(ledger.engine, RUN):
        for _ in range(4):
            time.sleep(0.5)
            assert leases.expired(ledger.engine, RUN) is None
    time.sleep(1.2)
    assert leases.expired(ledger.engine, RUN)


def test_a_run_whose_process_is_gone_is_ended_and_its_partition_is_no_longer_busy(
    product: Product, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = started(product)
    with leases.hold(ledger.engine, RUN):
        assert not end_dead_runs(ledger, instance, product)
    silent_for(monkeypatch, 50)
    (ended,) = end_dead_runs(ledger, instance, product)
    assert ended.startswith("run 55555555 of 2013-01: its process is gone: nothing was heard of it for 50 s")
    run = instance.get_run_by_id(RUN)
    assert run is not None
    assert run.status == dg.DagsterRunStatus.FAILURE
    assert not end_dead_runs(ledger, instance, product)


def test_a_run_whose_process_was_killed_on_this_machine_is_ended_without_waiting_for_its_lease(
    product: Product, ledger: Ledger
) -> None:
    command = (
        "import sys, time; from resources.ledger import leases; from resources.ledger.database import open_database\n"
        f"with leases.hold(open_database({ledger.url!r}), {RUN!r}): print('held', flush=True); time.sleep(600)"
    )
    instance = started(product)
    with subprocess.Popen([sys.executable, "-c", command], stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        assert not end_dead_runs(ledger, instance, product), "it lives"
        process.kill()
        while not leases.left_by_a_dead_process(ledger.engine, RUN):
            time.sleep(0.01)  # dead, and not waited for
    (ended,) = end_dead_runs(ledger, instance, product)
    assert ended == "run 55555555 of 2013-01: its process is gone: it was killed, or the machine ended it"


def test_a_process_of_another_machine_is_not_taken_for_dead(
    product: Product, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = started(product)
    with leases.hold(ledger.engine, RUN):
        monkeypatch.setattr(leases, "_is_alive", lambda _: False)
        monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
        assert not end_dead_runs(ledger, instance, product)


def test_a_run_that_never_began_is_ended_after_a_while(product: Product, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    instance = started(product, status=dg.DagsterRunStatus.STARTING)
    assert not end_dead_runs(ledger, instance, product)
    silent_for(monkeypatch, GRACE_SECONDS + 10)
    (ended,) = end_dead_runs(ledger, instance, product)
    assert "it did not begin within 120 s" in ended


def test_a_run_whose_launcher_was_killed_before_it_began_is_ended_soon(
    product: Product, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, elsewhere = str(tmp_path / "server"), str(tmp_path / "elsewhere")
    starting = dg.DagsterRunStatus.STARTING
    instance = started(product, status=starting, tags={GRPC_INFO_TAG: json.dumps({"host": "localhost", "socket": path})})
    other = started(product, status=starting, tags={GRPC_INFO_TAG: json.dumps({"host": "localhost", "socket": elsewhere})})
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        silent_for(monkeypatch, ORPHAN_SECONDS + 1)
        assert not end_dead_runs(ledger, instance, product), "its server lives"
    assert not end_dead_runs(ledger, other, product), "another machine's socket says nothing"
    (ended,) = end_dead_runs(ledger, instance, product)
    assert "within 15 s, and the server that launched it is dead" in ended


def test_a_training_of_hours_is_ended_by_no_clock(product: Product, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    instance = started(product)
    silent_for(monkeypatch, 7200)
    with leases.hold(ledger.engine, RUN):
        assert not end_dead_runs(ledger, instance, product)


def test_nothing_of_a_run_that_was_taken_for_dead_is_recorded(workspace: Workspace, ledger: Ledger) -> None:
    zombie = Ledger(workspace.settings.ledger, head_checkpoint=workspace.settings.ledger_head, run=RUN)
    with leases.hold(ledger.engine, RUN):
        zombie.append("refusal", {"product": "trains", "reasons": ["it lives"]})
        leases.revoke(ledger.engine, RUN)
        before = len(ledger.entries())
        with pytest.raises(leases.LeaseLost, match="nothing more of it is recorded"):
            zombie.append("refusal", {"product": "trains", "reasons": ["it lives"]})
        with pytest.raises(leases.LeaseLost):
            zombie.publish(manifest("raw", stage="raw", partition="2013-01"), run=RUN)
    with pytest.raises(leases.LeaseLost), leases.hold(ledger.engine, RUN):
        pass
    assert len(ledger.entries()) == before


def test_old_leases_are_forgotten(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    with leases.hold(ledger.engine, RUN):
        pass
    silent_for(monkeypatch, leases.KEPT_SECONDS + 1)
    with leases.hold(ledger.engine, "6" * 32):
        assert not leases.is_known(ledger.engine, RUN)


def test_the_home_of_older_code_gets_the_settings_that_leases_need(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    import yaml

    from resources.dagster_instance import CONFIG, EARLIER, prepare_home

    monkeypatch.setenv("DAGSTER_HOME", "")
    file = workspace.settings.dagster_home / "dagster.yaml"
    file.parent.mkdir(parents=True)
    edited = {"telemetry": {"enabled": True}}
    for content, expected in ((EARLIER[0], CONFIG), (edited, CONFIG | edited)):
        file.write_text(yaml.safe_dump(content))
        prepare_home(workspace.settings)
        assert yaml.safe_load(file.read_text()) == expected
