"""Two machines that share nothing but PostgreSQL, an object store, Redis and MLflow: what is decided on one of them serves on
both, whatever is killed meanwhile."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from ml_assets.services.replicas.shared_logs import served_log
from ml_assets.serving.log.reader import read
from resources.store.remote_blobs import RemoteBlobs
from tests.support.cluster import Cluster, cluster
from tests.support.command_line import delivery
from tests.support.machine_pair import busy, until
from tests.support.machines import golden, predicted

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]
COLD_SECONDS = 10.0
RUN_SECONDS = 900
"""The longest that a delivery may take, on a machine that others use, with a run that is lost once."""


@pytest.fixture
def machines(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory, tmp_path) as running:
        yield running


def test_whatever_is_decided_killed_or_lost_on_two_machines_both_serve_the_same_and_nothing_is_missing(machines: Cluster) -> None:
    a, b = machines.a, machines.b
    a.serve()
    second = a.release()
    _starts_cold(machines, second)
    a.up("daemon")
    b.up("worker")
    recalled_to = _decided_on_either(machines)
    _strays_are_refused(machines)
    _a_lost_object_is_repaired(machines)
    _survived(machines)

    serving = machines.serve_what_is_recorded()
    for machine in (a, b):
        assert predicted(machine, golden(machine, serving)) == serving
        machine.stop()  # a server ships what it logged when it stops, and every half a minute
    space = a.space
    log = read(served_log(space.settings, space.lineage, "flights"))
    space.ledger.close()
    assert {second, recalled_to, serving} <= {*log["release"]}
    assert machines.are_clean()


def _starts_cold(machines: Cluster, serving: str) -> None:
    """A second machine, which has nothing yet, answers within COLD_SECONDS of its start."""
    b, started = machines.b, time.monotonic()
    b.serve()
    assert predicted(b, golden(b, serving)) == serving
    seconds, factor = time.monotonic() - started, busy()
    sys.stderr.write(f"{seconds:6.1f} s  cold start to first answer, on a machine that takes {factor:.0f} times as long\n")
    assert seconds < COLD_SECONDS * factor


def _decided_on_either(machines: Cluster) -> str:
    """A promotion by B's worker of what A's sensor saw, two rollbacks on A, a recall on B. The release that serves then."""
    a, b = machines.a, machines.b
    words = ("--by", "ann", "--reason", "late rates look wrong")
    third = machines.both_serve(
        "promotion by B's worker", lambda: machines.deliver(delivery("2013-01-04"), "2013-01-04"), seconds=RUN_SECONDS
    )
    until(lambda: machines.end("2013-01-04") == "current", RUN_SECONDS, "the end of the run")
    assert [*(Path(b.environ["ML_ASSETS_HOME"]) / "dagster").rglob("compute_logs")], "what the run printed is the worker's"
    machines.both_serve("rollback on A", lambda: a.done("rollback", "flights", *words))
    machines.both_serve("rollback on A, forward again", lambda: a.done("rollback", "flights", "--to", third, *words))
    recalled_to = machines.both_serve("recall on B", lambda: b.done("recall", "flights", third, *words, "--apply"))
    for machine in (a, b):
        assert predicted(machine, golden(machine, recalled_to)) == recalled_to
    return recalled_to


def _strays_are_refused(machines: Cluster) -> None:
    """A variable names another ledger on A, and another store on B: no command, server, daemon or worker starts on it."""
    machines.store.make_bucket("elsewhere")
    stray_ledger = {"ML_ASSETS_LEDGER": machines.database.new_database("other")}
    stray_store = {"ML_ASSETS_STORE": "s3://elsewhere/store"}
    up = [("up", "--only", part, "--health-port", "3999") for part in ("daemon", "worker")]
    serve = ("serve", "flights", "--port", "0")
    run = ("run", "flights", "--partition", "2013-01-03")
    for command in (run, ("status", "flights"), serve, *up):
        refused = machines.a.ml_assets(*command, **stray_ledger)
        assert (refused.returncode, "Traceback" in refused.stderr) == (1, False), (command, refused.stdout)
        assert all(text in refused.stderr for text in ("belongs to the ledger", "/other", "/ledger", "ML_ASSETS_LEDGER"))
    for command in (serve, *up):
        refused = machines.b.ml_assets(*command, **stray_store)
        assert (refused.returncode, "Traceback" in refused.stderr) == (1, False), (command, refused.stdout)
        assert all(text in refused.stderr for text in ("elsewhere", "ML_ASSETS_STORE", "is not the one"))
    assert b"<Key>" not in machines.store.direct("GET", "/elsewhere?list-type=2"), "nothing was written there"


def _a_lost_object_is_repaired(machines: Cluster) -> None:
    """An object of the release that serves is lost: `verify` names it and the run that brings it back, from what B made."""
    release = machines.serve_what_is_recorded()
    space = machines.b.space
    manifest = space.ledger.release_named(release)
    assert manifest is not None
    blobs = space.snapshots.blobs
    assert isinstance(blobs, RemoteBlobs)
    object_lost = blobs.locate(space.snapshots.open(manifest.snapshot).members["model.cbm"])
    space.ledger.close()
    machines.store.direct("DELETE", f"/{object_lost}")
    for machine in (machines.a, machines.b):
        assert object_lost.rpartition("/")[2] in machine.ml_assets("verify").stdout
        assert predicted(machine, golden(machine, release)) == release, "each has a verified copy"
    machines.a.done("run", "flights", "--partition", manifest.partition)
    assert machines.are_clean()


def _survived(machines: Cluster) -> None:
    """Each part is killed in the middle of a run, and comes back: the delivery's run ends all the same, and both machines serve
    what the ledger names."""
    a, b = machines.a, machines.b
    kills: dict[str, list[Callable[[], object]]] = {
        "machine B with its worker and server": [lambda: machines.power_off(b, "worker")],
        "machine A with its daemon and server": [lambda: machines.power_off(a, "daemon")],
        "the processes of worker and daemon": [lambda: b.kill_part("worker"), lambda: a.kill_part("daemon")],
        "the broker": [machines.kill_broker],
        "PostgreSQL": [machines.kill_database],
        "object store, MLflow and the network of B": [machines.cut_store, machines.kill_mlflow, lambda: machines.unplug(b)],
    }
    for number, (name, steps) in enumerate(kills.items(), start=5):
        _survives(machines, f"2013-01-{number:02}", name, steps)
    assert machines.are_clean()


def _survives(machines: Cluster, day: str, name: str, kills: Sequence[Callable[[], object]]) -> None:
    machines.deliver(delivery(day), day)
    until(lambda: machines.made("raw", day), RUN_SECONDS, f"a run under way, {day}")
    started = time.monotonic()
    for kill in kills:
        kill()
    until(lambda: machines.end(day) == "current", RUN_SECONDS, f"the end of {day}, when {name} failed")
    sys.stderr.write(f"{time.monotonic() - started:6.1f} s  until a run ended in which {name} failed\n")
    machines.serve_what_is_recorded()
