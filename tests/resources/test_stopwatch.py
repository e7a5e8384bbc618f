"""What building took is recorded next to the manifest, and changes nothing about it."""

import subprocess
import sys
import time

from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.lineage.manifests import Output
from resources.lineage import Lineage
from resources.stopwatch import Stopwatch
from tests.support.records import manifest, recipe


def busy(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_wall_and_cpu_are_counted_apart() -> None:
    clock = Stopwatch()
    time.sleep(0.3)
    slept = clock.seconds()
    busy(0.2)
    worked = clock.seconds()
    assert slept["wall"] >= 0.3
    assert slept["cpu"] < 0.2
    assert worked["cpu"] - slept["cpu"] >= 0.19


def test_a_child_that_was_waited_for_counts() -> None:
    clock = Stopwatch()
    code = "import time\nwhile time.process_time() < 0.3: pass"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert clock.seconds()["cpu"] >= 0.25


def slow() -> Output:
    time.sleep(0.1)
    return Output({"a": b"1"})


def test_the_ledger_records_what_building_took_next_to_the_manifest(workspace: Workspace) -> None:
    manifest = workspace.lineage.make(recipe(), slow, run="1").manifest
    again = workspace.lineage.make(recipe(), slow, run="2")
    (body,) = [entry.body for entry in workspace.ledger.entries() if entry.kind == "manifest"]
    assert 0.1 <= body["seconds"]["wall"] < 30
    assert 0 <= body["seconds"]["cpu"] < 30
    assert (again.reused, again.manifest.id) == (True, manifest.id)
    assert "seconds" not in body["manifest"]


def test_the_manifest_is_the_same_however_long_it_took(workspace: Workspace) -> None:
    other = Workspace(workspace.settings)
    quick = manifest("same")
    workspace.ledger.publish(quick, run="r", seconds={"wall": 1.0, "cpu": 2.0})
    assert other.ledger.manifest(quick.id) == quick
    other.ledger.close()


def test_a_manifest_that_nobody_built_here_took_nothing(workspace: Workspace) -> None:
    workspace.ledger.publish(manifest("given"), run="r")
    assert "seconds" not in workspace.ledger.entries()[0].body


def test_a_lineage_of_its_own_knows_no_sources(workspace: Workspace) -> None:
    Lineage(workspace.snapshots, workspace.ledger).make(recipe(), slow, run="r")
    assert workspace.ledger.entries()[0].body["source"] is None
