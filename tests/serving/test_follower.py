"""What a server does by the ledger: follows it, goes on without it, says so, and tells it what happened meanwhile."""

import shutil
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click
import msgspec
import pytest

from checks.serving import _recorded as recorded
from ml_assets.cli.serving import serve
from ml_assets.cli.serving.serve import followed
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.services.replicas.addresses import addresses
from ml_assets.services.replicas.follower import Follower, LedgerAway
from ml_assets.services.replicas.reconcile import reconcile_reported
from ml_assets.services.verify.home import verify
from ml_assets.serving.client import http_client as client
from ml_assets.spec.product import Product
from resources.endpoints import break_glass, replicas
from resources.endpoints import pointer as pointers
from resources.endpoints.moves import NothingToRollBackTo
from resources.endpoints.replicas import Replica
from resources.ledger import head_checkpoint, recalls
from resources.ledger.identity import AnotherLedger, bind_store
from tests.conftest import settings_of
from tests.support.records import broken, release, serves

REPLICA = Replica(product="trains", environment="production", host="b", process=7, address="http://b:1")
A, B, C = (release(f"2013-0{i}.{letter}", f"2013-0{i}") for i, letter in enumerate("abc", 1))


@pytest.fixture
def machine(workspace: Workspace, tmp_path: Path) -> Workspace:
    """A second machine: a home of its own, with the ledger and the store of the first."""
    serves(workspace, A, B)
    bind_store(workspace.ledger.engine, workspace.snapshots.blobs, "5" * 32)
    shared = {"ledger": workspace.settings.ledger, "store": workspace.settings.store}
    return Workspace(replace(settings_of(tmp_path / "machine"), **shared))


def following(machine: Workspace, *, has: bool = True) -> Follower:
    follower = followed(machine, "trains", "production")
    follower.is_cached = lambda digest: has
    return follower


def cut_off(machine: Workspace) -> Callable[[], None]:
    """Take the ledger away from the machine; return what brings it back."""
    file = Path(machine.settings.ledger.removeprefix("sqlite:///"))
    machine.ledger.close()
    gone = file.with_name("gone.db")
    for path in file.parent.glob(f"{file.name}*"):
        path.rename(gone.with_name(path.name.replace(file.name, gone.name)))
    file.mkdir()  # what cannot be opened, and not an empty file that could be made

    def back() -> None:
        file.rmdir()
        for path in file.parent.glob(f"{gone.name}*"):
            path.rename(path.with_name(path.name.replace(gone.name, file.name)))

    return back


def broken_glass(machine: Workspace, by: str, monkeypatch: pytest.MonkeyPatch) -> Follower:
    """A server that rolled back while the ledger was away, and cannot write that to it now that it is back."""
    follower = following(machine)
    follower.pointer()
    back = cut_off(machine)
    follower.break_glass(None, by, "late rates look wrong")
    back()
    monkeypatch.setattr(follower, "_reconciled", lambda act: False)
    return follower


def test_a_promotion_and_a_rollback_elsewhere_reach_the_pointer_here(workspace: Workspace, machine: Workspace) -> None:
    follower = following(machine)
    first = follower.pointer()
    assert first
    assert (first.release, first.previous) == ("2013-02.b", A.snapshot)
    serves(workspace, C)
    assert (now := follower.pointer())
    assert now.release == "2013-03.c"
    workspace.endpoints.rollback("trains", to=None, by="me", reason="a test")
    assert (now := follower.pointer())
    assert now.release == "2013-02.b"
    assert pointers.read(machine.endpoints.file("trains", "production")) == now
    assert [earlier.release for earlier in follower.earlier()] == ["2013-01.a"]


def test_without_the_ledger_the_cached_release_goes_on_and_the_link_says_since_when(machine: Workspace) -> None:
    follower = following(machine)
    before = follower.pointer()
    back = cut_off(machine)
    assert follower.pointer() == before
    since = follower.link.away_since
    assert since
    assert "unable to open database file" in str(follower.link.why)
    assert following(machine).pointer() == before  # a start without the ledger
    assert follower.pointer() == before
    assert follower.link.away_since == since
    back()
    assert follower.pointer() == before
    assert follower.link.away_since is None


def test_an_older_copy_of_the_ledger_moves_nothing(workspace: Workspace, machine: Workspace) -> None:
    file = Path(workspace.settings.ledger.removeprefix("sqlite:///"))
    workspace.ledger.close()
    shutil.copyfile(file, file.with_name("old.db"))
    serves(workspace, C)
    follower = following(machine)
    assert (now := follower.pointer())
    assert now.release == "2013-03.c"
    for space in (workspace, machine):
        space.ledger.close()
    file.with_name("old.db").replace(file)
    assert follower.pointer() == now
    assert "older copy" in str(follower.link.why)


def test_a_server_that_is_led_to_another_ledger_refuses_to_start(machine: Workspace, tmp_path: Path) -> None:
    following(machine).pointer()
    other = Workspace(settings_of(tmp_path / "other"))
    serves(other, C)
    machine.ledger.close()
    with pytest.raises(AnotherLedger, match="belongs to the ledger"):
        followed(Workspace(replace(machine.settings, ledger=other.settings.ledger)), "trains", "production")


def test_what_a_server_serves_is_reported_until_it_stops(workspace: Workspace, machine: Workspace) -> None:
    follower = following(machine)
    replica = Replica(
        product="trains", environment="production", host="b", process=7, address="http://b:1", release="r", bundle="d"
    )
    follower.report(replica)
    follower.report(replace_trouble(replica, "cut off"))
    (seen,) = replicas.replicas(workspace.ledger.engine, "trains")
    assert (seen.replica.trouble, seen.is_silent) == ("cut off", False)
    assert "http://b:1 on b (process 7) serves r; cut off" in seen.sentence()
    with workspace.ledger.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE replicas SET seen = seen - 60")
    (seen,) = replicas.replicas(workspace.ledger.engine, "trains")
    assert seen.is_silent
    assert "its last report is 60 s old" in seen.sentence()
    follower.leave(replica)
    assert replicas.replicas(workspace.ledger.engine, "trains") == []


def replace_trouble(replica: Replica, trouble: str) -> Replica:
    return msgspec.structs.replace(replica, trouble=trouble)


def test_breaking_the_glass_needs_the_ledger_to_be_away_a_reason_and_a_release_that_is_here(machine: Workspace) -> None:
    follower = following(machine)
    follower.pointer()
    with pytest.raises(LedgerAway, match="the ledger answers"):
        follower.break_glass(None, "ann", "late rates look wrong")
    back = cut_off(machine)
    with pytest.raises(NothingToRollBackTo, match=r"no 2012-01\.x is here .* cached: 2013-01\.a$"):
        follower.break_glass("2012-01.x", "ann", "late rates look wrong")
    with pytest.raises(NothingToRollBackTo, match="cached: none"):
        following(machine, has=False).break_glass(None, "ann", "late rates look wrong")
    with pytest.raises(LedgerAway, match="break_glass"):
        follower.roll_back(None, "ann", "late rates look wrong")
    back()


def test_a_break_glass_rollback_outlives_a_restart_and_becomes_one_for_all(workspace: Workspace, machine: Workspace) -> None:
    follower = following(machine)
    follower.pointer()
    back = cut_off(machine)
    follower.break_glass(None, "ann", "late rates look wrong")
    for server in (follower, following(machine)):
        assert (now := server.pointer())
        assert (now.release, now.by) == ("2013-01.a", "ann")
    back()
    assert (now := follower.pointer())
    assert now.release == "2013-01.a"
    entry = workspace.ledger.moves("trains", "production")[-1]
    assert (entry.kind, entry.body.by) == ("rollback", "ann")
    assert entry.body.reason.startswith("late rates look wrong; break-glass on ")
    assert not machine.settings.break_glass("trains", "production").exists()
    assert follower.pointer() == now
    assert broken(workspace.ledger) == []


def test_a_break_glass_rollback_that_the_ledger_overtook_is_recorded_as_over(workspace: Workspace, machine: Workspace) -> None:
    follower = following(machine)
    follower.pointer()
    back = cut_off(machine)
    follower.break_glass(None, "ann", "late rates look wrong")
    act = break_glass.read(machine.settings.break_glass("trains", "production"))
    back()
    serves(workspace, C)
    assert (now := follower.pointer())
    assert now.release == "2013-03.c"
    assert act
    (refusal,) = [entry for entry in workspace.ledger.entries() if entry.kind == "refusal"]
    assert "the ledger had moved on to 2013-03.c" in refusal.body["reasons"][0]
    assert break_glass.reconcile(workspace.endpoints, act) == "recorded before"


def test_a_break_glass_rollback_to_what_was_recalled_meanwhile_is_over(workspace: Workspace, machine: Workspace) -> None:
    follower = following(machine)
    follower.pointer()
    back = cut_off(machine)
    follower.break_glass(None, "ann", "late rates look wrong")
    back()
    recalls.record(workspace.ledger, recalls.of_release(A, reason="bad", by="ben"))
    assert (now := follower.pointer())
    assert now.release == "2013-02.b"


def test_the_remembered_head_grows_with_what_was_followed(workspace: Workspace, machine: Workspace) -> None:
    follower = following(machine)
    follower.pointer()
    head = head_checkpoint.read(machine.settings.ledger_head)
    assert head
    assert head.seq == len(workspace.ledger.entries())


def test_the_check_names_a_server_that_serves_another_release_or_is_silent(
    workspace: Workspace, machine: Workspace, product: Product
) -> None:
    follower = following(machine)
    now = follower.pointer()
    assert now
    about = {"product": "trains", "environment": "production", "process": 7}
    for host, release_ in (("b", B), ("c", A)):
        digest, name = release_.snapshot, str(release_.facts["release"])
        follower.report(Replica(**about, host=host, address=f"http://{host}:1", release=name, bundle=digest))
    serving = recorded(workspace.endpoints, product)
    assert not serving.passed
    assert "2013-02.b is recorded; http://c:1 on c (process 7) serves 2013-01.a" in serving.description
    follower.report(Replica(**about, host="c", address="http://c:1", release=now.release, bundle=now.bundle))
    assert recorded(workspace.endpoints, product).passed
    with workspace.ledger.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE replicas SET seen = seen - 60 WHERE host = 'b'")
    serving = recorded(workspace.endpoints, product)
    assert not serving.passed
    assert "http://b:1 on b (process 7) serves 2013-02.b; its last report is 60 s old" in serving.description
    with workspace.ledger.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE replicas SET seen = seen - 3600")
    serving = recorded(workspace.endpoints, product)
    assert serving.passed
    assert "no server runs at" in serving.description


def test_a_server_is_asked_where_it_says_and_not_where_the_product_listens(
    workspace: Workspace, machine: Workspace, product: Product
) -> None:
    declared = f"http://{product.endpoint.host}:{product.endpoint.port}"
    assert addresses(workspace.ledger, product) == [declared]
    replica = Replica(product="trains", environment="production", host="b", process=7, address="http://scorer-2:80")
    following(machine).report(replica)
    assert addresses(workspace.ledger, product) == ["http://scorer-2:80"]
    asked_at = serve._asked_at
    assert asked_at("http://scorer-2", "http://0.0.0.0:8810") == "http://scorer-2:8810"
    assert asked_at("https://scorers.example/flights/", "http://0.0.0.0:8810") == "https://scorers.example/flights"
    assert asked_at("", "http://0.0.0.0:8810") == f"http://{socket.gethostname()}:8810"
    with pytest.raises(click.BadParameter, match="is not a URL such as"):
        asked_at("scorer-2:8810", "http://0.0.0.0:8810")


def test_what_a_server_that_may_not_write_did_is_recorded_from_its_report(
    workspace: Workspace, machine: Workspace, product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = broken_glass(machine, "ann", monkeypatch)
    assert (now := follower.pointer())
    assert (now.release, str(follower.link.break_glass)[:14]) == ("2013-01.a", "break-glass on")
    follower.report(REPLICA)
    (outcome,) = reconcile_reported(workspace.endpoints, product)
    assert outcome.endswith("rolled back to 2013-01.a")
    assert workspace.ledger.moves("trains", "production")[-1].body.by == "ann"
    monkeypatch.undo()
    assert follower.pointer()
    assert not machine.settings.break_glass("trains", "production").exists()
    assert len(workspace.ledger.moves("trains", "production")) == 3


def test_a_break_glass_rollback_can_be_taken_back_by_name(machine: Workspace) -> None:
    follower = following(machine)
    follower.pointer()
    back = cut_off(machine)
    follower.break_glass(None, "ann", "late rates look wrong")
    follower.break_glass("2013-02.b", "ann", "they were right")
    assert (now := follower.pointer())
    assert (now.release, now.reason) == ("2013-02.b", "they were right")
    back()
    assert (now := follower.pointer())
    assert (now.release, now.by) == ("2013-02.b", "test")


def test_a_server_of_another_home_is_told_by_its_ledger() -> None:
    own, other = "a" * 64, "b" * 64
    version = {"product": "trains", "release": "2013-01.a", "ledger": {"id": other}}
    sentence = client.stranger(version, own)
    assert all(name in sentence for name in ("bbbbbbbbbbbb", "aaaaaaaaaaaa", "2013-01.a", "trains"))
    for known in ({**version, "ledger": {"id": own}}, {**version, "ledger": None}, {"release": "2013-01.a"}):
        assert client.stranger(known, own) == ""


def test_a_pointer_that_lags_behind_other_machines_is_a_note_and_one_that_nobody_wrote_is_not(
    workspace: Workspace, machine: Workspace
) -> None:
    follower = following(machine)
    follower.pointer()
    serves(workspace, C)

    def serving(space: Workspace) -> list[str]:
        return [
            one.message for one in verify(space.settings).discrepancies if one.where.startswith("pointer") and not one.is_note
        ]

    assert serving(machine) == []
    file = machine.endpoints.file("trains", "production")
    file.write_text(file.read_text().replace(B.snapshot, A.snapshot))
    assert [message[:39] for message in serving(machine)] == ["does not say what the ledger says: 2013"]
    file.unlink()
    assert serving(machine) == []
    workspace.endpoints.file("trains", "production").unlink()
    assert serving(workspace) == ["is not a file; 2013-03.c should serve"]
