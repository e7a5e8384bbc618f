"""The pointer file follows the ledger, whoever moves, rolls back or dies in between."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.lineage.manifests import Manifest
from resources.endpoints import pointer as pointers
from resources.endpoints.moves import Endpoints, NothingToRollBackTo
from resources.endpoints.pointer import Pointer, PointerError
from resources.ledger.ledger import LedgerConflict
from tests.conftest import settings_of
from tests.support.faults import BROKEN_DISK, disk_fails, points_survived
from tests.support.records import broken, release, serves

A, B, C, D = (release(f"2013-0{i}.{letter}", f"2013-0{i}") for i, letter in enumerate("abcd", 1))
POINTER = Pointer(release="r", bundle="d" * 64, as_of="2013-04", since="2013-05-01T00:00:00", by="gate", reason="better")


def pointer_now(space: Workspace, environment: str = "production") -> Pointer | None:
    return pointers.read(space.endpoints.file("trains", environment))


def back(space: Workspace, to: str | None = None) -> Pointer:
    return space.endpoints.rollback("trains", to=to, by="me", reason="a test")


def promote(space: Workspace, release: Manifest, *, expected: Manifest | None) -> Pointer:
    before = expected.snapshot if expected else None
    return space.endpoints.move("promotion", release, environment="production", by="run 1", reason="ACCEPT", expected=before)


def test_a_move_is_recorded_and_told(workspace: Workspace) -> None:
    assert pointer_now(workspace) is None
    assert workspace.endpoints.settle("trains", "production") is None
    promote(workspace, A, expected=None)
    pointer = promote(workspace, B, expected=A)
    (_, entry) = workspace.ledger.moves("trains", "production")
    assert pointer_now(workspace) == pointer
    assert pointer == Pointer(
        release="2013-02.b", bundle=B.snapshot, as_of="2013-02", since=entry.at, by="run 1", reason="ACCEPT",
        previous=A.snapshot,
    )  # fmt: skip
    assert (entry.kind, entry.body.manifest) == ("promotion", B.id)
    assert pointer_now(workspace, "staging") is None


def test_a_move_from_what_no_longer_answers_changes_nothing(workspace: Workspace) -> None:
    serves(workspace, A, B)
    before, entries = pointer_now(workspace), len(workspace.ledger.entries())
    for expected in (None, A, C):
        with pytest.raises(LedgerConflict, match="materialize evaluation again"):
            promote(workspace, D, expected=expected)
    assert pointer_now(workspace) == before
    assert len(workspace.ledger.entries()) == entries


def test_a_rollback_goes_one_back_twice_two_back_and_a_promotion_goes_on_from_there(workspace: Workspace) -> None:
    serves(workspace, A, B, C)
    for expected, before in ((B, C), (A, B)):
        pointer = back(workspace)
        assert pointer == pointer_now(workspace)
        assert (pointer.bundle, pointer.previous, pointer.by) == (expected.snapshot, before.snapshot, "me")
    with pytest.raises(NothingToRollBackTo, match=r"trains: there is no earlier release .* so far: 2013-01\.a$"):
        back(workspace)
    serves(workspace, D)
    assert back(workspace).release == A.facts["release"]
    kinds = [entry.kind for entry in workspace.ledger.moves("trains", "production")]
    assert kinds == ["promotion"] * 3 + ["rollback"] * 2 + ["promotion", "rollback"]


def test_a_rollback_goes_to_a_named_release_and_from_there_on_back(workspace: Workspace) -> None:
    serves(workspace, A, B, C, D)
    assert back(workspace, B.facts["release"]).bundle == B.snapshot
    assert back(workspace).bundle == A.snapshot
    assert back(workspace, C.snapshot[:12]).bundle == C.snapshot
    assert back(workspace).bundle == A.snapshot


@pytest.mark.parametrize("to", ["2013-09.x", "2013-02.b", B.snapshot, "0" * 12])
def test_a_rollback_to_what_never_answered_or_answers_now_is_refused(workspace: Workspace, to: str) -> None:
    serves(workspace, A, B)
    with pytest.raises(NothingToRollBackTo, match=rf"no release {to} to go back to; .*: 2013-01\.a, 2013-02\.b$"):
        back(workspace, to)
    assert len(workspace.ledger.moves("trains", "production")) == 2


def test_where_nothing_answered_nothing_can_be_gone_back_to(workspace: Workspace) -> None:
    with pytest.raises(NothingToRollBackTo, match="served so far: none"):
        back(workspace)


def test_a_rollback_carries_the_manifest_of_the_release(workspace: Workspace) -> None:
    serves(workspace, A, B)
    back(workspace)
    entry = workspace.ledger.pointer("trains", "production")
    assert entry is not None
    assert (entry.body.manifest, entry.body.as_of, entry.body.reason) == (A.id, "2013-01", "a test")


def test_a_crash_between_ledger_and_file_is_mended(workspace: Workspace) -> None:
    serves(workspace, A)
    # nothing is left to open or replace a file with once the ledger has committed
    with disk_fails(at=1, code=BROKEN_DISK), pytest.raises(OSError, match="Input/output"):
        promote(workspace, B, expected=A)
    before = pointer_now(workspace)
    assert before is not None
    assert before.bundle == A.snapshot
    pointer = workspace.endpoints.settle("trains", "production")
    assert pointer is not None
    assert (pointer.bundle, pointer_now(workspace)) == (B.snapshot, pointer)


@pytest.mark.parametrize("content", [None, b"", b"{}", b'{"release": "\xff"}', b"\0" * 300])
def test_a_pointer_file_that_is_lost_or_damaged_is_written_again(workspace: Workspace, content: bytes | None) -> None:
    serves(workspace, A)
    before, file = pointer_now(workspace), workspace.endpoints.file("trains", "production")
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
        with pytest.raises(PointerError, match=r"production\.json: not a pointer"):
            pointer_now(workspace)
    assert workspace.endpoints.settle("trains", "production") == before == pointer_now(workspace)


def test_a_pointer_file_that_says_so_already_is_left_alone(workspace: Workspace) -> None:
    serves(workspace, A)
    file = workspace.endpoints.file("trains", "production")
    before = file.stat()
    workspace.endpoints.settle("trains", "production")
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert [path.name for path in file.parent.iterdir()] == ["production.json"]


@pytest.mark.long
@pytest.mark.parametrize("act", ["promote", "roll_back"])
def test_killed_at_any_point_of_a_move_one_of_the_two_answers_and_settling_mends_the_file(tmp_path: Path, act: str) -> None:
    assert points_survived(act, tmp_path) > 10


def test_a_mover_that_writes_late_does_not_undo_a_later_move(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    serves(workspace, A)
    write = pointers.write

    def overtaken(path: Path, pointer: Pointer) -> None:
        monkeypatch.setattr(pointers, "write", write)
        promote(workspace, C, expected=B)
        write(path, pointer)

    monkeypatch.setattr(pointers, "write", overtaken)
    assert promote(workspace, B, expected=A).bundle == B.snapshot
    pointer = pointer_now(workspace)
    assert pointer is not None
    assert pointer.bundle == C.snapshot


def test_of_many_movers_at_once_the_file_follows_the_last(workspace: Workspace, home: Path) -> None:
    serves(workspace, A, B)
    barrier = Barrier(4)

    def go_to_and_fro(_: int) -> int:
        own, moved = Workspace(settings_of(home)), 0
        for _turn in range(5):
            barrier.wait()
            try:
                own.endpoints.rollback("trains", to=None if moved % 2 else "2013-02.b", by="me", reason="a test")
                moved += 1
            except (LedgerConflict, NothingToRollBackTo):
                pass
        own.ledger.close()
        return moved

    with ThreadPoolExecutor(4) as pool:
        moved = sum(pool.map(go_to_and_fro, range(4)))
    entries = workspace.ledger.moves("trains", "production")
    pointer = pointer_now(workspace)
    assert pointer is not None
    assert len(entries) == 2 + moved
    assert (pointer.release, pointer.since) == (entries[-1].body.release, entries[-1].at)
    assert broken(workspace.ledger) == []


def test_a_pointer_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "endpoints" / "trains" / "staging.json"
    assert pointers.read(path) is None
    pointers.write(path, POINTER)
    assert pointers.read(path) == POINTER


def test_a_pointer_lies_where_the_settings_say(workspace: Workspace, home: Path) -> None:
    serves(workspace, A)
    endpoints = Endpoints(settings_of(home).endpoints, workspace.ledger)
    assert endpoints.file("trains", "production") == home / "endpoints" / "trains" / "production.json"
    assert endpoints.file("trains", "production").is_file()
