"""Anything of the store or the ledger that is missing, changed or added is damage; looking changes nothing."""

import json
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ml_assets.cli import cli
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.digests import canonical_json
from ml_assets.services.verify.home import verify
from resources.ledger import tables as schema
from resources.ledger.ledger import Ledger, entry_hash
from tests.ledger.test_tampering import forge
from tests.support import verified_home as support
from tests.support.records import broken, damage, flip
from tests.support.verified_home import contents, discrepancies_at, notes, settings_for

BYTES = range(1, 256)
HEADER_BYTES = 100
UNJUDGED = {*range(24, 28), *range(40, 47), *range(48, 52), *range(56, 59), *range(60, 64), *range(68, 100)}
"""Bytes of the database's header that no content depends on: docs/lineage.md lists them."""
EDGES = {at for at in range(HEADER_BYTES) if {at - 1 in UNJUDGED, at in UNJUDGED, at + 1 in UNJUDGED} == {True, False}}
"""The bytes of the header on both sides of where it begins or ends to count: `make long` takes all of them."""
FLIPS = 25
"""Drawn again in each run; `make long` draws a thousand."""
LOG_HEADERS_BYTES = 56
"""Of the write-ahead log, and of its first frame."""


@pytest.fixture(scope="module")
def filled_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return support.make(tmp_path_factory.mktemp("verify") / "home")


@pytest.fixture
def broken_home(filled_home: Path, tmp_path: Path) -> Path:
    return support.copy(filled_home, tmp_path / "home")


@pytest.fixture(scope="module")
def scratch(filled_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy in which one file at a time is changed and put back."""
    return support.copy(filled_home, tmp_path_factory.mktemp("flips") / "home")


def test_what_was_written_is_clean_and_looking_changes_no_byte(filled_home: Path) -> None:
    before, times = contents(filled_home), {p: p.stat().st_mtime_ns for p in filled_home.rglob("*")}
    checked = verify(settings_for(filled_home))
    assert (checked.discrepancies, checked.is_clean) == ((), True)
    assert checked.counts == {"entries": 17, "files": 13, "endpoints": 1}
    assert contents(filled_home) == before
    assert {p: p.stat().st_mtime_ns for p in filled_home.rglob("*")} == times


def test_a_home_of_nothing_is_clean_and_stays_one(home: Path) -> None:
    assert discrepancies_at(home) == []
    assert notes(home) == [("missing", "ledger ledger.db")]
    assert list(home.iterdir()) == []


@pytest.mark.long
@settings(max_examples=FLIPS, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_flipped_byte_of_a_file_of_the_store_of_a_pointer_or_of_the_witness_is_found(
    scratch: Path, data: st.DataObject
) -> None:
    path = data.draw(st.sampled_from([path for path in support.checked_files(scratch) if path.name != "ledger.db"]))
    with flipped(path, data.draw(st.integers(0, path.stat().st_size - 1)), data.draw(st.sampled_from(BYTES))):
        assert discrepancies_at(scratch) != []


@pytest.mark.long
@settings(max_examples=FLIPS, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_flipped_byte_of_the_ledger_is_found_or_changes_nothing_that_is_recorded(scratch: Path, data: st.DataObject) -> None:
    path = scratch / "ledger.db"
    at, by = data.draw(st.integers(HEADER_BYTES, path.stat().st_size - 1)), data.draw(st.sampled_from(BYTES))
    assert_found_or_same_content(path, at, by)


@pytest.mark.parametrize("at", [at if at in EDGES else pytest.param(at, marks=pytest.mark.long) for at in range(HEADER_BYTES)])
def test_a_flipped_byte_of_the_header_is_found_unless_no_content_depends_on_it(scratch: Path, at: int) -> None:
    assert assert_found_or_same_content(scratch / "ledger.db", at, 255) == (at not in UNJUDGED)


def test_a_file_that_sqlite_cannot_read_is_named_even_where_no_witness_remembers_it(broken_home: Path) -> None:
    (broken_home / "ledger.head").unlink()
    with flipped(broken_home / "ledger.db", 0, 1):
        assert ("changed", "ledger") in discrepancies_at(broken_home)


@pytest.mark.parametrize("seq", [1, 5, 9, 17])
def test_a_flipped_byte_of_an_entry_names_that_entry(scratch: Path, seq: int) -> None:
    path = scratch / "ledger.db"
    body, _ = stored_entry(path, seq)
    with flipped(path, path.read_bytes().index(body.encode()) + len(body) // 2, 1):
        assert ("changed", f"ledger entry {seq}") in discrepancies_at(scratch)


def test_a_flipped_byte_of_a_hash_is_found_in_rows_and_indexes(scratch: Path) -> None:
    path = scratch / "ledger.db"
    _, hashed = stored_entry(path, 5)
    places = [match.start() for match in re.finditer(hashed.encode(), path.read_bytes())]
    assert len(places) == 3  # the entry, the one after it, the index
    for at in places:
        with flipped(path, at, 1):
            assert discrepancies_at(scratch) != []


def stored_entry(path: Path, seq: int) -> tuple[str, str]:
    """The body and the hash of an entry, as they are in the file."""
    with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as database:
        body, hashed = database.execute("SELECT body, hash FROM entries WHERE seq = ?", [seq]).fetchone()
    return body, hashed


@pytest.mark.long
@pytest.mark.parametrize("by", [1, 128])
@pytest.mark.parametrize("at", range(HEADER_BYTES))
def test_any_flipped_bit_of_the_header_is_found_or_changes_nothing_that_is_recorded(scratch: Path, at: int, by: int) -> None:
    assert_found_or_same_content(scratch / "ledger.db", at, by)


@pytest.mark.long
@settings(max_examples=1000, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_of_a_thousand_flipped_bytes_is_found_or_changes_nothing_that_is_recorded(scratch: Path, data: st.DataObject) -> None:
    path = scratch / "ledger.db"
    assert_found_or_same_content(path, data.draw(st.integers(0, path.stat().st_size - 1)), data.draw(st.sampled_from(BYTES)))


@contextmanager
def flipped(path: Path, at: int, by: int) -> Iterator[None]:
    content, mode = path.read_bytes(), path.stat().st_mode
    path.chmod(0o644)
    path.write_bytes(flip(content, at=at, by=by))
    try:
        yield
    finally:
        path.write_bytes(content)
        path.chmod(mode)


def assert_found_or_same_content(path: Path, at: int, by: int) -> bool:
    """Whether it was damage. Where not, SQLite reads the same rows and schema, and the next entry can be appended."""
    before = support.dump(path)
    with flipped(path, at, by):
        if discrepancies_at(path.parent):
            return True
        assert support.dump(path) == before, f"byte {at} by {by}"
        with tempfile.TemporaryDirectory() as folder:
            ledger = Ledger(f"sqlite:///{shutil.copy(path, folder)}")
            ledger.append("refusal", {"by": "ann"})
            assert broken(ledger) == [], f"byte {at} by {by}"
            ledger.close()
    return False


@pytest.mark.long
def test_any_file_deleted_or_cut_is_found(filled_home: Path, tmp_path: Path) -> None:
    for number, name in enumerate(path.relative_to(filled_home).as_posix() for path in support.checked_files(filled_home)):
        if name in ("ledger.head", "endpoints/trains/production.json"):
            continue
        home = support.copy(filled_home, tmp_path / str(number))
        (home / name).unlink()
        kinds = {kind for kind, _ in discrepancies_at(home)}
        assert "missing" in kinds, name
        (home / name).write_bytes((filled_home / name).read_bytes()[:-1])
        assert discrepancies_at(home) != [], name


def test_a_missing_pointer_is_found_and_a_missing_witness_told(broken_home: Path) -> None:
    (broken_home / "ledger.head").unlink()
    assert (discrepancies_at(broken_home), notes(broken_home)) == ([], [("missing", "head checkpoint ledger.head")])
    (broken_home / "endpoints/trains/production.json").unlink()
    assert discrepancies_at(broken_home) == [("missing", "pointer endpoints/trains/production.json")]


def blob(home: Path) -> Path:
    return next(p for p in sorted(home.glob("store/??/*")) if p.is_file())


def test_added_files_are_found_and_those_a_crash_leaves_are_notes(broken_home: Path) -> None:
    space = Workspace(settings_for(broken_home))
    orphan = space.snapshots.write({"a": b"of a run that was killed"})
    (blob(broken_home).parent / ".writing-x1").write_bytes(b"half")
    assert discrepancies_at(broken_home) == []
    assert {("added", f"store {digest}") for digest in (orphan.digest, orphan.members["a"])} < set(notes(broken_home))
    assert len(notes(broken_home)) == 3
    shutil.copy(blob(broken_home), broken_home / "store" / "copy")
    (broken_home / "store" / "zz").mkdir()
    shutil.copy(blob(broken_home), broken_home / "store" / "zz" / "b")
    (broken_home / "endpoints" / "other.json").write_text("{}")
    assert discrepancies_at(broken_home) == [
        ("added", "store copy"),
        ("added", "store zz/b"),
        ("added", "pointer endpoints/other.json"),
    ]


def test_a_blob_in_anothers_place_or_behind_a_link_is_found(broken_home: Path) -> None:
    first, second, *_ = sorted(broken_home.glob("store/??/*"))
    second.rename(broken_home / "elsewhere")
    second.symlink_to(broken_home / "elsewhere")  # with the right content, for now
    first.chmod(0o644)
    first.write_bytes(b"other content")
    assert {("changed", f"store {first.name}"), ("changed", f"store {second.name}")} <= set(discrepancies_at(broken_home))


@pytest.fixture
def ledger_of(broken_home: Path) -> Iterator[Workspace]:
    space = Workspace(settings_for(broken_home))
    yield space
    space.ledger.close()


@pytest.mark.long
@pytest.mark.parametrize(
    ("forgery", "where"),
    [
        ("UPDATE manifests SET data_version = 'x' WHERE seq = 1", "ledger table manifests, entry 1"),
        ("UPDATE manifests SET partition = '2013-02' WHERE seq = 1", "ledger table manifests, entry 1"),
        ("DELETE FROM publications WHERE seq = 2", "ledger table publications, entry 2"),
        ("INSERT INTO publications SELECT 3, product, stage, partition, manifest FROM publications WHERE seq = 2", "entry 3"),
        (
            "INSERT INTO publications SELECT -3, product, stage, partition, manifest FROM publications WHERE seq = 2",
            "publications",
        ),
        ("UPDATE evidence SET passed = 0", "ledger table evidence, entry 5"),
        ("INSERT INTO evidence VALUES (6, 'x', 'gates_passed', 1)", "ledger table evidence, entry 6"),
        ("UPDATE inputs SET producer = 1 WHERE consumer > 3", "ledger table inputs"),
        ("UPDATE pointers SET release = 'x'", "ledger table pointers"),
        ("UPDATE entries SET body = replace(body, 'true', 'false') WHERE seq = 5", "ledger entry 5"),
        ("UPDATE entries SET body = body || ' ' WHERE seq = 5", "ledger entry 5"),
        ("UPDATE entries SET body = replace(body, '1.5e-07', '15e-8') WHERE seq = 5", "ledger entry 5"),
        ("DELETE FROM entries WHERE seq = 5", "ledger entry 6"),
        ("DELETE FROM entries WHERE seq = 17; DELETE FROM pointers WHERE seq = 17", "head checkpoint ledger.head"),
        ("DROP INDEX inputs_delivered", "ledger index inputs_delivered"),
        ("CREATE TABLE more (a TEXT)", "ledger table more"),
    ],
)
def test_a_forged_ledger_is_found_with_its_culprit(ledger_of: Workspace, broken_home: Path, forgery: str, where: str) -> None:
    with closing(sqlite3.connect(broken_home / "ledger.db")) as database:
        triggers = [row[0] for row in database.execute("SELECT sql FROM sqlite_master WHERE type = 'trigger' ORDER BY rowid")]
    forge(ledger_of.ledger, forgery)
    with closing(sqlite3.connect(broken_home / "ledger.db", isolation_level=None)) as database:
        for trigger in triggers:
            database.execute(trigger)
    ledger_of.ledger.close()
    assert any(where in place for _, place in discrepancies_at(broken_home)), discrepancies_at(broken_home)


def test_a_gap_is_something_missing(ledger_of: Workspace, broken_home: Path) -> None:
    forge(ledger_of.ledger, "DELETE FROM entries WHERE seq = 5")
    ledger_of.ledger.close()
    assert ("missing", "ledger entry 6") in discrepancies_at(broken_home)


def test_a_trigger_that_is_gone_is_found(ledger_of: Workspace, broken_home: Path) -> None:
    with closing(sqlite3.connect(broken_home / "ledger.db")) as database:
        database.execute("DROP TRIGGER entries_no_update")
    assert ("missing", "ledger trigger entries_no_update") in discrepancies_at(broken_home)


def test_a_rewritten_chain_is_found_by_what_the_home_remembers(filled_home: Path, tmp_path: Path) -> None:
    other = support.make(tmp_path / "other")
    shutil.copy(filled_home / "ledger.head", other / "ledger.head")
    assert discrepancies_at(other) == [("changed", "head checkpoint ledger.head")]


def test_an_entry_rewritten_with_a_right_hash_is_found_by_the_entry_after_it(ledger_of: Workspace, broken_home: Path) -> None:
    entry = next(entry for entry in ledger_of.ledger.entries() if entry.kind == "evidence")
    body = {**entry.body, "run": "another"}
    hashed = entry_hash(seq=entry.seq, at=entry.at, kind=entry.kind, body=body, previous=entry.previous)
    written = canonical_json(body).decode()
    forge(ledger_of.ledger, f"UPDATE entries SET body = '{written}', hash = '{hashed}' WHERE seq = {entry.seq}")
    ledger_of.ledger.close()
    assert ("changed", f"ledger entry {entry.seq + 1}") in discrepancies_at(broken_home)


def test_a_vacuumed_ledger_is_clean(broken_home: Path) -> None:
    with closing(sqlite3.connect(broken_home / "ledger.db")) as database:
        database.execute("VACUUM")
    assert discrepancies_at(broken_home) == []


@pytest.mark.parametrize("step", [pytest.param(1, marks=pytest.mark.long), 5])
def test_a_ledger_that_is_in_use_is_verified_with_its_log(broken_home: Path, ledger_of: Workspace, step: int) -> None:
    for number in range(30):
        ledger_of.ledger.append("refusal", {"by": str(number)})
    log = broken_home / "ledger.db-wal"
    assert log.stat().st_size > 0
    before = contents(broken_home)
    assert discrepancies_at(broken_home) == []
    assert contents(broken_home) == before
    size = log.stat().st_size
    for at in [*range(0, LOG_HEADERS_BYTES, step), 2_000, size // 2, size - 5000, size - 1]:
        with flipped(log, at, 1):
            assert ("missing", "head checkpoint ledger.head") in discrepancies_at(broken_home), at


def test_a_ledger_that_is_written_while_it_is_copied_is_copied_again(
    broken_home: Path, ledger_of: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy, copied = shutil.copyfile, []

    def copy_then_write(source: Path, target: Path) -> None:
        copy(source, target)
        if not copied:
            ledger_of.ledger.append("refusal", {"by": "ann"})
            ledger_of.ledger.close()
        copied.append(source)

    monkeypatch.setattr("ml_assets.services.verify.ledger_file.shutil.copyfile", copy_then_write)
    assert (discrepancies_at(broken_home), len(copied)) == ([], 2)


def test_caches_and_other_files_of_the_home_are_nobodys_business(broken_home: Path) -> None:
    (broken_home / "cache").mkdir(exist_ok=True)
    for name in ("graph", "code.json"):
        (broken_home / "cache" / name).write_bytes(b"anything")
    assert discrepancies_at(broken_home) == []


def test_the_command_lists_culprits_and_says_so_by_its_exit_code(broken_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ML_ASSETS_HOME", str(broken_home))
    clean = CliRunner().invoke(cli, ["verify"])
    assert (clean.exit_code, clean.output) == (
        0,
        "17 entries, 13 files, 1 endpoints, 0 verdicts: everything is as it was written\n",
    )
    damage(blob(broken_home))
    result = CliRunner().invoke(cli, ["verify"])
    assert result.exit_code == 1
    assert result.output.startswith(f"changed  store {blob(broken_home).name} was changed: its bytes now hash to ")
    assert "1 changed" in result.output
    machine = json.loads(CliRunner().invoke(cli, ["verify", "--json"]).output)
    assert (machine["is_clean"], len(machine["findings"])) == (False, 1)


def test_every_table_is_compared() -> None:
    """A table without `seq` or `consumer` would need a place in the comparison."""
    assert all({"seq", "consumer"} & set(table.c.keys()) for table in schema.metadata.sorted_tables)
