"""The ledger only grows, shows every change made behind its back, and lets one of several movers win."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Timer
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from ml_assets.core.lineage.manifests import Manifest
from resources.ledger.database import open_database
from resources.ledger.ledger import GENESIS, Ledger, LedgerConflict, entry_hash
from resources.ledger.records import EntryMalformed
from tests.support.faults import points_survived
from tests.support.records import broken, manifest, pointing, recipe, release

ROOT = Path(__file__).parents[2]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    own_ledger = Ledger(f"sqlite:///{tmp_path}/new/folder/ledger.db")
    yield own_ledger
    own_ledger.close()


def test_an_entry_comes_back_as_it_was_written(ledger: Ledger) -> None:
    written = ledger.append("refusal", {"reasons": ["ü", 1.5, None], "a": {"b": True}})
    assert ledger.entries() == [written]
    assert (written.seq, written.kind, written.previous) == (1, "refusal", GENESIS)
    assert written.body == {"reasons": ["ü", 1.5, None], "a": {"b": True}}
    assert ledger.append("refusal", {}).previous == written.hash


def test_an_entrys_hash_covers_all_of_it(ledger: Ledger) -> None:
    given: dict[str, Any] = {"seq": 1, "at": "a", "kind": "b", "body": {"c": 1}, "previous": "d"}
    others = [given, *(given | {name: 2 if name == "seq" else {} if name == "body" else "x"} for name in given)]
    assert len({entry_hash(**other) for other in others}) == 6


@settings(max_examples=10)
@given(st.lists(st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False) | st.text()), max_size=5))
def test_the_chain_is_whole_whatever_is_recorded(tmp_path_factory: pytest.TempPathFactory, bodies: list[Any]) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path_factory.mktemp('ledger')}/ledger.db")
    for body in bodies:
        ledger.append("refusal", body)
    assert broken(ledger) == []
    assert [entry.body for entry in ledger.entries()] == bodies
    ledger.close()


APPENDER = """
import sys
from resources.ledger.ledger import Ledger
ledger = Ledger(sys.argv[1])
for number in range(50):
    ledger.append("refusal", {"by": sys.argv[2], "number": number})
"""


def test_a_new_ledger_is_opened_while_another_process_makes_it(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "ledger.db", isolation_level=None, check_same_thread=False) as other:
        other.execute("BEGIN IMMEDIATE")
        Timer(0.3, other.execute, ["COMMIT"]).start()
        engine = open_database(f"sqlite:///{tmp_path}/ledger.db")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    engine.dispose()


def test_four_processes_append_at_once_to_one_chain(ledger: Ledger) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", APPENDER, ledger.url, str(i)], cwd=ROOT) for i in range(4)]
    assert [writer.wait() for writer in writers] == [0] * 4
    entries = ledger.entries()
    assert [entry.seq for entry in entries] == list(range(1, 201))
    assert broken(ledger) == []
    for i in range(4):
        assert [e.body["number"] for e in entries if e.body["by"] == str(i)] == list(range(50))


def test_publishing_again_records_nothing(ledger: Ledger) -> None:
    own_manifest = manifest()
    for run in ("first", "again"):
        ledger.publish(own_manifest, run=run)
    assert [entry.kind for entry in ledger.entries()] == ["manifest", "publication"]
    assert ledger.manifest(own_manifest.id) == ledger.by_key(own_manifest.recipe.key) == own_manifest


def test_what_stands_is_what_was_published_last_also_when_it_stood_before(ledger: Ledger) -> None:
    one, two = manifest("one", code="1"), manifest("two", code="2")
    assert ledger.current("trains", "dataset", "2013-01") is None
    for own_manifest in (one, two, one):
        ledger.publish(own_manifest, run="r")
        assert ledger.current("trains", "dataset", "2013-01") == own_manifest
    assert [e.kind for e in ledger.entries()] == ["manifest", "publication", "manifest", "publication", "publication"]


def test_assets_and_partitions_stand_apart(ledger: Ledger) -> None:
    places = [("raw", "2013-02"), ("raw", "2013-01"), ("dataset", "2013-01"), ("raw", "")]
    own_manifest = [manifest(stage=stage, partition=partition) for stage, partition in places]
    for one in own_manifest:
        ledger.publish(one, run="r")
    assert [ledger.current("trains", *place) for place in places] == own_manifest
    assert ledger.current("ships", "raw", "2013-01") is None
    assert ledger.partitions("trains", "raw") == ["", "2013-01", "2013-02"]
    assert ledger.partitions("trains", "model") == []


def test_of_one_recipe_the_newest_manifest_counts(ledger: Ledger) -> None:
    own_manifest = [manifest(content) for content in ("one", "two", "three")]
    for one in own_manifest:
        ledger.publish(one, run="r")
    assert ledger.by_key(recipe().key) == own_manifest[-1]
    assert ledger.by_key("0" * 64) is None


def test_a_prefix_finds_ids_data_versions_and_snapshots_oldest_first(ledger: Ledger) -> None:
    first, other, last = (
        Manifest(recipe(code=c), s, d) for c, s, d in [("1", "abc_1", "d"), ("2", "e", "abcx1"), ("3", "abc_2", "abc_2")]
    )
    for own_manifest in (first, other, last):
        ledger.publish(own_manifest, run="r")
    assert ledger.by_prefix("abc") == [first, other, last]
    assert ledger.by_prefix("abc_") == [first, last]
    assert ledger.by_prefix(other.id[:20]) == [other]
    assert ledger.by_prefix("%c") == []


def test_a_release_is_found_by_name_and_the_newest_of_two(ledger: Ledger) -> None:
    releases = [release("2013-02.12345678", code="1"), release("2013-02.12345678", code="2"), release("2013-02.87654321")]
    for one in releases:
        ledger.publish(one, run="r")
    assert ledger.release_named("2013-02.12345678") == releases[1]
    assert ledger.release_named("2013-02.87654321") == releases[2]
    assert ledger.release_named("2013-02") is None


def test_of_each_claim_the_newest_evidence_about_exactly_this_manifest_counts(ledger: Ledger) -> None:
    for subject, claim, passed in [("a", "x", False), ("a", "y", True), ("b", "x", False), ("a", "x", True)]:
        ledger.add_evidence(subject=subject, claim=claim, passed=passed, details={}, run="r")
    assert {claim: entry.body.passed for claim, entry in ledger.evidence("a").items()} == {"x": True, "y": True}
    assert {claim: entry.seq for claim, entry in ledger.evidence("a").items()} == {"x": 4, "y": 2}
    assert ledger.evidence("c") == {}


def test_what_a_guard_raises_leaves_nothing(ledger: Ledger) -> None:
    ledger.append("refusal", {})

    def refuse(connection: Connection) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ledger.append("refusal", {}, guard=refuse)
    assert len(ledger.entries()) == 1
    assert ledger.append("refusal", {}).seq == 2


@pytest.mark.parametrize(
    ("kind", "body", "error"),
    [
        ("refusal", {"value": float("nan")}, ValueError),
        ("promotion", {"release": "a"}, EntryMalformed),
        ("evidence", {"subject": "a"}, EntryMalformed),
        ("refusal", {1: 2}, ValueError),
    ],
)
def test_an_entry_that_cannot_be_kept_leaves_nothing(ledger: Ledger, kind: Any, body: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        ledger.append(kind, body)
    assert ledger.entries() == []
    assert ledger.append("refusal", {}).seq == 1


def test_a_pointer_moves_only_from_what_it_was_expected_at(ledger: Ledger) -> None:
    with pytest.raises(LedgerConflict, match="release none serves, not a as the decision assumed"):
        ledger.move_pointer("promotion", pointing("b"), expected="a")
    first = ledger.move_pointer("promotion", pointing("a"), expected=None)
    for wrong in (None, "b", "a "):
        with pytest.raises(LedgerConflict, match="release a serves"):
            ledger.move_pointer("promotion", pointing("b"), expected=wrong)
    assert ledger.moves("trains", "production") == [first]
    second = ledger.move_pointer("promotion", pointing("b"), expected="a")
    assert ledger.pointer("trains", "production") == second
    assert ledger.moves("trains", "production") == [first, second]


def test_endpoints_move_apart(ledger: Ledger) -> None:
    production = ledger.move_pointer("promotion", pointing("a"), expected=None)
    staging = ledger.move_pointer("staging", pointing("b", "staging"), expected=None)
    ships = ledger.move_pointer("promotion", pointing("c", product="ships"), expected=None)
    own_ledger = [ledger.pointer(*at) for at in [("trains", "production"), ("trains", "staging"), ("ships", "production")]]
    assert own_ledger == [production, staging, ships]


def test_who_answered_before_a_partition_is_the_last_move_to_an_earlier_release(ledger: Ledger) -> None:
    moves = [("a", "2013-01"), ("b", "2013-03"), ("a", "2013-01"), ("c", "2013-04")]
    for (name, as_of), (before, _) in zip(moves, [(None, ""), *moves], strict=False):
        ledger.move_pointer("promotion", pointing(name, as_of=as_of), expected=before)
    served = {key: ledger.pointer("trains", "production", before=key) for key in ("2013-01", "2013-03", "2013-04", "2013-05")}
    assert {key: entry.seq if entry else None for key, entry in served.items()} == {
        "2013-01": None,
        "2013-03": 3,
        "2013-04": 3,
        "2013-05": 4,
    }


def test_of_ten_movers_that_expect_the_same_champion_one_wins(ledger: Ledger) -> None:
    champion = None
    for turn in range(3):
        barrier = Barrier(10)

        def move(number: int, turn: int = turn, champion: str | None = champion, barrier: Barrier = barrier) -> bool:
            own = Ledger(ledger.url)
            try:
                barrier.wait()
                own.move_pointer("promotion", pointing(f"{turn}-{number}"), expected=champion)
            except LedgerConflict:
                return False
            finally:
                own.close()
            return True

        with ThreadPoolExecutor(10) as pool:
            won = list(pool.map(move, range(10)))
        assert won.count(True) == 1
        champion = f"{turn}-{won.index(True)}"
        assert [entry.body["release"] for entry in ledger.entries()][turn:] == [champion]
    assert broken(ledger) == []


def test_reading_waits_for_no_writer(ledger: Ledger) -> None:
    ledger.append("refusal", {})
    other = Ledger(ledger.url)
    assert len(other.entries()) == 1

    def read(connection: Connection) -> None:
        assert len(other.entries()) == 1

    ledger.append("refusal", {}, guard=read)
    assert len(other.entries()) == 2
    other.close()


def test_a_closed_ledger_opens_again(ledger: Ledger) -> None:
    ledger.close()
    ledger.append("refusal", {})
    ledger.close()
    assert len(ledger.entries()) == 1


def test_importing_and_naming_a_ledger_makes_nothing(tmp_path: Path) -> None:
    Ledger(f"sqlite:///{tmp_path}/ledger.db").close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_a_ledger_killed_at_any_point_while_it_is_made_is_made_on_the_next_use(tmp_path: Path) -> None:
    assert points_survived("open", tmp_path) > 20
