"""What a home remembers of the ledger's end: never ahead of it, never going back, and no reason to fail."""

import errno
from contextlib import suppress
from pathlib import Path

import pytest

from ml_assets.cli.shared.workspace import Workspace
from resources.ledger import head_checkpoint
from resources.ledger.head_checkpoint import Head, HeadCheckpointDamaged
from tests.support.faults import disk_fails
from tests.support.records import damage, manifest, pointing


def test_it_is_the_newest_entry_after_every_way_to_append(workspace: Workspace) -> None:
    path = workspace.settings.home / "ledger.head"
    assert head_checkpoint.read(path) is None
    workspace.ledger.append("refusal", {})
    heads = [head_checkpoint.read(path)]
    workspace.ledger.publish(manifest(), run="r")
    heads.append(head_checkpoint.read(path))
    workspace.ledger.publish(manifest(), run="again")  # records nothing
    heads.append(head_checkpoint.read(path))
    workspace.ledger.move_pointer("promotion", pointing("a"), expected=None)
    heads.append(head_checkpoint.read(path))
    entries = workspace.ledger.entries()
    assert heads == [Head(entries[n].seq, entries[n].hash) for n in (0, 2, 2, 3)]


def test_it_never_goes_back(tmp_path: Path) -> None:
    path = tmp_path / "head"
    for seq in (3, 1, 2):
        head_checkpoint.remember(path, Head(seq, f"{seq:064x}"))
    assert head_checkpoint.read(path) == Head(3, f"{3:064x}")


def test_a_damaged_one_is_kept_for_verify_to_find(tmp_path: Path) -> None:
    path = tmp_path / "head"
    head_checkpoint.remember(path, Head(1, "a" * 64))
    for at in range(path.stat().st_size):
        before = path.read_bytes()
        damage(path, at=at, by=128)
        with pytest.raises(HeadCheckpointDamaged):
            head_checkpoint.read(path)
        head_checkpoint.remember(path, Head(2, "b" * 64))
        with pytest.raises(HeadCheckpointDamaged):
            head_checkpoint.read(path)
        path.write_bytes(before)


def test_an_entry_that_is_committed_stands_when_the_disk_then_fails(workspace: Workspace) -> None:
    workspace.ledger.append("refusal", {})
    with disk_fails(at=1, code=errno.ENOSPC), suppress(OSError):
        workspace.ledger.append("refusal", {"more": 1})
    assert len(workspace.ledger.entries()) == 2
    assert head_checkpoint.read(workspace.settings.home / "ledger.head") == Head(1, workspace.ledger.entries()[0].hash)
    workspace.ledger.append("refusal", {})
    assert head_checkpoint.read(workspace.settings.home / "ledger.head") == Head(3, workspace.ledger.entries()[2].hash)
