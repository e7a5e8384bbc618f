"""`verify --new` reads what came since it was clean last, and finds in that what a whole check finds. It trusts no memory of
another ledger or store."""

import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from ml_assets.cli import cli
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.digests import digest_json
from ml_assets.core.lineage.manifests import Output
from ml_assets.services.verify.home import Verified, verify, verify_new
from ml_assets.services.verify.memory import NOTHING, VerifyBusy, remembered
from resources.ledger.chain import tombstone
from resources.ledger.erasure import erase
from resources.ledger.ledger import Ledger
from resources.settings import Settings, settings
from tests.conftest import settings_of
from tests.ledger.test_tampering import forge
from tests.support import verified_home
from tests.support.object_store import object_store
from tests.support.records import damage, pointing, recipe, serves

OLD, NEW = 17, 7
"""Entries of the home when it was verified, and those that `more` adds."""


@pytest.fixture(scope="module")
def filled_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return verified_home.make(tmp_path_factory.mktemp("new") / "home")


@pytest.fixture
def home(filled_home: Path, tmp_path: Path) -> Path:
    """A home that was verified, and has gone on since."""
    home = verified_home.copy(filled_home, tmp_path / "home")
    assert checked(settings_of(home)).is_clean
    more(settings_of(home))
    return home


def stamped(home: Path) -> None:
    """Let the memory say that every file of the store is as it was when it was read: what a disk that rots looks like."""
    with closing(sqlite3.connect(home / "cache" / "verified.db", isolation_level=None)) as memory:
        for path in home.glob("store/??/*"):
            stat = path.stat()
            stamp = f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_ino}"
            memory.execute("UPDATE files SET stamp = ? WHERE digest = ?", [stamp, path.name])


def more(own: Settings) -> None:
    """New snapshots, one of an input that was verified, evidence, a release, and a move."""
    space = Workspace(own)
    old = space.ledger.current("trains", "features", "2013-01")
    assert old is not None
    output = Output({"model.txt": b"another model", "shared.txt": b"shared"})
    model = space.lineage.make(recipe("model", "2013-02", inputs=(old.as_input(),)), lambda: output, run="r").manifest
    space.ledger.add_evidence(subject=model.id, claim="complete", passed=True, details={"rows": 1.5e-7}, run="r")
    given = recipe("release", "2013-03", code="c3", inputs=(model.as_input(),))
    output = Output({"model.cbm": b"three"}, {"release": "2013-03.cccccccc"})
    serves(space, space.lineage.make(given, lambda: output, run="r").manifest)
    space.ledger.append("refusal", {"by": "ann"})
    space.ledger.close()


def checked(own: Settings) -> Verified:
    """As `ml-assets verify --new` checks it, without verdicts."""
    with remembered(own) as memory:
        verified = verify_new(own, memory)
        if verified.is_clean:
            memory.keep(verified.point)
    return verified


def why_everything(own: Settings) -> str:
    with remembered(own) as memory:
        verify_new(own, memory)
        return memory.why_whole


def places(verified: Verified) -> set[tuple[str, str]]:
    return {(one.kind, one.where) for one in verified.discrepancies if not one.is_note}


def test_only_what_came_since_is_read(home: Path) -> None:
    verified = checked(settings_of(home))
    assert (verified.discrepancies, verified.since) == ((), OLD)
    assert verified.counts == {"entries": NEW, "files": 5, "endpoints": 1}
    again = checked(settings_of(home))
    assert (again.discrepancies, again.since, again.counts["entries"], again.counts["files"]) == ((), OLD + NEW, 0, 0)


def test_the_first_one_reads_everything_and_says_so(tmp_path: Path) -> None:
    home = verified_home.make(tmp_path / "home")
    with remembered(settings_of(home)) as memory:
        verified = verify_new(settings_of(home), memory)
        assert (memory.why_whole, verified.counts, verified.is_clean) == (
            NOTHING,
            {"entries": 17, "files": 13, "endpoints": 1},
            True,
        )
    assert why_everything(settings_of(home)) == NOTHING, "what nobody kept is not remembered"


FORGERIES = [
    "UPDATE entries SET body = replace(body, '1.5e-07', '15e-8') WHERE seq > 17",
    "UPDATE entries SET body = replace(body, 'true', 'false') WHERE seq = 20",
    "UPDATE entries SET body = body || ' ' WHERE seq = 20",
    "UPDATE entries SET kind = 'rollback' WHERE seq = 23",
    "DELETE FROM entries WHERE seq = 20",
    "DELETE FROM entries WHERE seq = 18",
    "DELETE FROM entries WHERE seq = 24",
    "DELETE FROM entries WHERE seq >= 18",
    "UPDATE manifests SET data_version = 'x' WHERE seq = 18",
    "UPDATE manifests SET seq = 99 WHERE seq = 18",
    "DELETE FROM publications WHERE seq > 17",
    "INSERT INTO publications SELECT 90, product, stage, partition, manifest FROM publications WHERE seq = 2",
    "INSERT INTO evidence VALUES (91, 'x', 'gates_passed', 1)",
    "UPDATE evidence SET passed = 0 WHERE seq > 17",
    "UPDATE inputs SET producer = 1 WHERE consumer > 17",
    "DELETE FROM inputs WHERE consumer > 17",
    "INSERT INTO inputs VALUES ('text', NULL, 'a', 'b', 'c')",
    "UPDATE pointers SET release = 'x' WHERE seq > 17",
    "DROP INDEX inputs_delivered",
    "CREATE TABLE more (a TEXT)",
]


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forgery_among_new_entries_and_rows_is_found_as_a_whole_check_finds_it(home: Path, forgery: str) -> None:
    forged(home, forgery)
    expected = places(verify(settings_of(home)))
    assert expected, "the whole check finds it"
    shutil.copy(home / "kept.db", home / "cache" / "verified.db")  # which the whole check made forget
    with remembered(settings_of(home)) as memory:
        verified = verify_new(settings_of(home), memory)
        assert (places(verified), memory.why_whole, verified.since) == (expected, "", OLD)


def forged(home: Path, forgery: str) -> None:
    """Change the ledger behind its triggers, which are there again afterwards."""
    shutil.copy(home / "cache" / "verified.db", home / "kept.db")
    ledger = Ledger(f"sqlite:///{home / 'ledger.db'}")
    with closing(sqlite3.connect(home / "ledger.db")) as database:
        triggers = [row[0] for row in database.execute("SELECT sql FROM sqlite_master WHERE type = 'trigger' ORDER BY rowid")]
    forge(ledger, forgery)
    ledger.close()
    with closing(sqlite3.connect(home / "ledger.db", isolation_level=None)) as database:
        for trigger in triggers:
            database.execute(trigger)


@pytest.mark.parametrize(
    "forgery",
    [
        "DELETE FROM entries WHERE seq = 5",
        "DELETE FROM evidence WHERE seq = 5",
        "INSERT INTO evidence VALUES (6, 'x', 'gates_passed', 1)",
        "DELETE FROM inputs WHERE consumer < 17",
        "DROP TRIGGER entries_no_update",
    ],
)
def test_old_rows_that_are_gone_or_were_added_are_found(home: Path, forgery: str) -> None:
    if forgery.startswith("DROP"):
        with closing(sqlite3.connect(home / "ledger.db")) as database:
            database.execute(forgery)
    else:
        forged(home, forgery)
    assert places(checked(settings_of(home)))


def new_file(home: Path, *, name: bytes) -> Path:
    return next(path for path in home.glob("store/??/*") if path.read_bytes() == name)


@pytest.mark.parametrize("content", [b"another model", b"raw rows"], ids=["new", "old"])
@pytest.mark.parametrize("fault", ["changed", "cut", "gone", "link"])
def test_a_file_that_was_written_or_is_gone_since_is_found_old_or_new(home: Path, content: bytes, fault: str) -> None:
    path = new_file(home, name=content)
    if fault == "changed":
        times = path.stat()
        damage(path)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    elif fault == "cut":
        path.chmod(0o644)
        path.write_bytes(content[:-1])
    elif fault == "link":
        shutil.move(path, home / "elsewhere")
        path.symlink_to(home / "elsewhere")
    else:
        path.unlink()
    kind = "missing" if fault == "gone" else "changed"
    for _ in range(2):
        assert places(checked(settings_of(home))) == {(kind, f"store {path.name}")}, "until it is mended, each time"


def test_a_file_that_nothing_named_may_go_and_one_that_comes_later_is_found_missing(home: Path) -> None:
    space = Workspace(settings_of(home))
    orphan = space.snapshots.write({"a": b"of a run that was killed"})
    verified = checked(space.settings)
    assert {f"store {orphan.digest}", f"store {orphan.members['a']}"} == {one.where for one in verified.discrepancies}
    space.snapshots.blobs.path(orphan.members["a"]).unlink()
    assert places(checked(space.settings)) == set()
    space.lineage.make(recipe("dataset", "2013-09"), lambda: Output({"a": b"of a run that was killed", "b": b"b"}), run="r")
    (home / "store" / orphan.members["a"][:2] / orphan.members["a"]).unlink()
    space.ledger.close()
    assert places(checked(settings_of(home))) == {("missing", f"store {orphan.members['a']}")}


def test_a_byte_that_rots_underneath_is_found_by_a_whole_check_and_then_by_every_one(home: Path) -> None:
    rotten = new_file(home, name=b"raw rows")
    damage(rotten)
    stamped(home)
    assert checked(settings_of(home)).is_clean, "that is what --help says"
    assert places(verify(settings_of(home))) == {("changed", f"store {rotten.name}")}
    assert why_everything(settings_of(home)) == NOTHING
    assert places(checked(settings_of(home))) == {("changed", f"store {rotten.name}")}


def test_what_is_not_clean_is_not_remembered(home: Path) -> None:
    lost = new_file(home, name=b"another model")
    content = lost.read_bytes()
    lost.unlink()
    assert not checked(settings_of(home)).is_clean
    lost.write_bytes(content)
    assert (checked(settings_of(home)).since, checked(settings_of(home)).since) == (OLD, OLD + NEW)


def other_ledger(home: Path, tmp_path: Path) -> Settings:
    shutil.move(home, tmp_path / "first")
    other = verified_home.make(home)
    (other / "cache").mkdir(exist_ok=True)
    shutil.copy(tmp_path / "first" / "cache" / "verified.db", other / "cache")
    return settings_of(other)


def another_end(home: Path, tmp_path: Path) -> Settings:
    forged(home, "UPDATE entries SET hash = 'x' WHERE seq = 17")
    return settings_of(home)


def cut_off(home: Path, tmp_path: Path) -> Settings:
    forged(home, "DELETE FROM entries WHERE seq >= 17")
    return settings_of(home)


def without_ledger(home: Path, tmp_path: Path) -> Settings:
    for path in home.glob("ledger.db*"):
        path.unlink()
    return settings_of(home)


def damaged_memory(home: Path, tmp_path: Path) -> Settings:
    damage(home / "cache" / "verified.db")
    return settings_of(home)


def other_format(home: Path, tmp_path: Path) -> Settings:
    with closing(sqlite3.connect(home / "cache" / "verified.db", isolation_level=None)) as memory:
        memory.execute("UPDATE point SET value = replace(value, '\"format\":1', '\"format\":0')")
    return settings_of(home)


def other_store(home: Path, tmp_path: Path) -> Settings:
    shutil.copytree(home / "store", tmp_path / "store")
    return settings({"ML_ASSETS_HOME": str(home), "ML_ASSETS_STORE": (tmp_path / "store").as_uri()})


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (other_ledger, "the ledger is another one than was verified"),
        (another_end, "entry 17, the last one that was verified, is no longer what it was"),
        (cut_off, "entry 17, the last one that was verified, is no longer what it was"),
        (without_ledger, "there is no ledger"),
        (damaged_memory, NOTHING),
        (other_format, NOTHING),
        (other_store, "the store was file://"),
    ],
)
def test_a_memory_of_something_else_does_not_count(
    home: Path, tmp_path: Path, change: Callable[[Path, Path], Settings], why: str
) -> None:
    changed = change(home, tmp_path)
    with remembered(changed) as memory:
        verified = verify_new(changed, memory)
        assert why in memory.why_whole
    whole = verify(changed)
    assert (verified.since, places(verified), verified.counts) == (0, places(whole), whole.counts)


def test_an_erasure_of_an_old_body_is_a_note_and_a_body_that_is_only_gone_is_found(home: Path) -> None:
    own = settings_of(home)
    assert checked(own).is_clean
    ledger = Ledger(own.ledger, own.home / "ledger.head")
    assert erase(ledger, OLD + NEW, by="ben", reason="asked").is_wiped
    ledger.close()
    verified = checked(own)
    assert [(one.where, one.is_note) for one in verified.discrepancies] == [(f"ledger entry {OLD + NEW}", True)]
    assert verified.since == OLD + NEW
    ledger.append("erasure", {"seq": 16, "body_sha256": "0" * 64, "by": "ben", "reason": "asked"})
    ledger.close()
    assert places(checked(own)) == places(verify(own)) == {("added", f"ledger entry {OLD + NEW + 2}")}


def test_a_tombstone_without_an_erasure_is_found_among_new_entries(home: Path) -> None:
    ledger = Ledger(settings_of(home).ledger, home / "ledger.head")
    entry = ledger.entries()[-1]
    ledger.close()
    body = json.dumps(tombstone(digest_json(entry.body)), separators=(",", ":"))
    forged(home, f"UPDATE entries SET body = '{body}' WHERE seq = {entry.seq}")
    assert places(checked(settings_of(home))) == {("missing", f"ledger entry {entry.seq}")}


@contextmanager
def writing(ledger: Ledger) -> Iterator[None]:
    ledger.append("refusal", {"by": "ben"})
    yield
    ledger.close()


def test_a_ledger_that_is_in_use_is_verified_with_its_log(home: Path) -> None:
    ledger = Ledger(settings_of(home).ledger, home / "ledger.head")
    with writing(ledger):
        assert (home / "ledger.db-wal").stat().st_size > 0
        assert (checked(settings_of(home)).discrepancies, checked(settings_of(home)).since) == ((), OLD + NEW + 1)


def test_two_at_a_time_are_refused(home: Path) -> None:
    with (
        remembered(settings_of(home)),
        pytest.raises(VerifyBusy, match=r"another `ml-assets verify --new` uses .*verified\.db; run this again"),
        remembered(settings_of(home)),
    ):
        pass


def test_a_pointer_that_a_new_move_left_behind_is_found_and_an_old_one_still_looked_at(home: Path) -> None:
    pointer = home / "endpoints/trains/production.json"
    assert checked(settings_of(home)).is_clean
    pointer.write_bytes(pointer.read_bytes()[:-1])
    assert places(checked(settings_of(home))) == {("changed", "pointer endpoints/trains/production.json")}
    ledger = Ledger(settings_of(home).ledger, home / "ledger.head")
    ledger.move_pointer("staging", pointing("d", "staging"), expected=None)
    ledger.close()
    assert ("missing", "pointer endpoints/trains/staging.json") in places(checked(settings_of(home)))


def test_the_command_says_since_when_or_why_everything_was_read(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ML_ASSETS_HOME", str(home))
    lines = CliRunner().invoke(cli, ["verify", "--new"]).output
    assert lines == "7 entries, 5 files, 1 endpoints, 0 verdicts since entry 17: everything is as it was written\n"
    machine = json.loads(CliRunner().invoke(cli, ["verify", "--new", "--json"]).output)
    assert (machine["since"], machine["why_everything"], machine["is_clean"], machine["entries"]) == (OLD + NEW, None, True, 0)
    (home / "cache" / "verified.db").unlink()
    first, second = CliRunner().invoke(cli, ["verify", "--new"]).output.splitlines()
    assert first == f"everything was read: {NOTHING}"
    assert second == "24 entries, 18 files, 1 endpoints, 0 verdicts: everything is as it was written"
    refused = CliRunner().invoke(cli, ["verify", "--new", "--export", str(home / "ledger.head")])
    assert (refused.exit_code, "give one of them" in refused.output) == (2, True)


@pytest.mark.long
def test_objects_of_a_bucket_are_read_again_only_where_they_were_written_since(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from s3fs import S3FileSystem

    with object_store() as s3:
        for name, value in s3.environ.items():
            monkeypatch.setenv(name, value)
        S3FileSystem.clear_instance_cache()
        s3.make_bucket("models")
        own = settings({"ML_ASSETS_HOME": str(tmp_path / "home"), "ML_ASSETS_STORE": "s3://models/store"})
        space = Workspace(own)
        kept = space.lineage.make(recipe("raw"), lambda: Output({"rows.txt": b"raw rows"}), run="r").manifest
        assert checked(own).counts["files"] >= 2
        assert checked(own).counts["files"] == 0
        space.lineage.make(recipe("dataset", inputs=(kept.as_input(),)), lambda: Output({"a": b"a"}), run="r")
        assert (checked(own).counts, checked(own).counts["files"]) == ({"entries": 2, "files": 2, "endpoints": 0}, 0)
        member = space.snapshots.read(kept.snapshot, "rows.txt")
        assert member == b"raw rows"
        name = next(iter(space.snapshots.blobs.digests()))
        s3.direct("PUT", f"/models/store/{name[:2]}/{name}", b"other bytes")
        assert places(checked(own)) == {("changed", f"store {name}")}
        space.ledger.close()
