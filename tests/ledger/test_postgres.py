"""The ledger on PostgreSQL: what tests/ledger/test_ledger.py asks of SQLite, and what only a server can get wrong."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from ml_assets.cli.serving.serve import followed
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.digests import canonical_json, digest_json
from ml_assets.core.lineage.manifests import Output
from ml_assets.services.audit.ledger_graph import open_graph
from ml_assets.services.ledger_database.grants import grants
from ml_assets.services.ledger_database.move import MoveRefused, move
from ml_assets.services.replicas.follower import LedgerAway
from ml_assets.services.verify.home import Verified, verify, verify_new
from ml_assets.services.verify.memory import remembered
from resources.endpoints import replicas
from resources.endpoints.replicas import Replica
from resources.ledger import recalls
from resources.ledger import tables as schema
from resources.ledger.chain import tombstone
from resources.ledger.database import LedgerMoved, LedgerRefused
from resources.ledger.erasure import ErasureRefused, erase
from resources.ledger.following import newest
from resources.ledger.ledger import Ledger, LedgerConflict
from resources.scratch_lineage import ledger_copy
from resources.settings import settings
from tests.conftest import settings_of

# The same tests, with this module's `ledger`.
from tests.ledger.test_ledger import (  # noqa: F401
    test_a_closed_ledger_opens_again,
    test_a_prefix_finds_ids_data_versions_and_snapshots_oldest_first,
    test_a_release_is_found_by_name_and_the_newest_of_two,
    test_an_entry_comes_back_as_it_was_written,
    test_assets_and_partitions_stand_apart,
    test_endpoints_move_apart,
    test_four_processes_append_at_once_to_one_chain,
    test_of_each_claim_the_newest_evidence_about_exactly_this_manifest_counts,
    test_of_one_recipe_the_newest_manifest_counts,
    test_of_ten_movers_that_expect_the_same_champion_one_wins,
    test_publishing_again_records_nothing,
    test_reading_waits_for_no_writer,
    test_what_a_guard_raises_leaves_nothing,
    test_what_stands_is_what_was_published_last_also_when_it_stood_before,
    test_who_answered_before_a_partition_is_the_last_move_to_an_earlier_release,
)
from tests.support.homes import old_home
from tests.support.postgres import new_database, postgres
from tests.support.records import ATTEMPT, broken, manifest, pointing, recipe, release, serves

ROOT = Path(__file__).parents[2]
TABLES = [table.name for table in schema.metadata.sorted_tables]
NUMBERS = count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    with postgres() as folder:
        yield folder


@pytest.fixture
def url(server: str) -> str:
    """A database of which nothing was used yet."""
    return new_database(server, f"ledger{next(NUMBERS)}")


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    own_ledger = Ledger(url)
    yield own_ledger
    own_ledger.close()


@pytest.fixture
def space(url: str, home: Path) -> Iterator[Workspace]:
    """A workspace with a few snapshots and a release that answers."""
    space = Workspace(settings({"ML_ASSETS_HOME": str(home), "ML_ASSETS_LEDGER": url}))
    raw = space.lineage.make(recipe("raw"), lambda: Output({"rows.txt": b"raw"}), run="r").manifest
    space.ledger.add_evidence(subject=raw.id, claim="complete", passed=True, details={"rows": 1.5e-7}, run="r")
    release_recipe = recipe("release", inputs=(raw.as_input(),))
    serves(space, space.lineage.make(release_recipe, lambda: Output({"model.cbm": b"m"}, {"release": "r1"}), run="r").manifest)
    yield space
    space.ledger.close()


def fill(ledger: Ledger) -> None:
    raw = manifest("raw", stage="raw")
    dataset = manifest("dataset", inputs=[raw.as_input()])
    for one in (raw, dataset):
        ledger.publish(one, run="r")
    ledger.add_evidence(subject=dataset.id, claim="complete", passed=True, details={}, run="r")
    ledger.move_pointer("promotion", pointing("a"), expected=None)
    ledger.append("attempt", ATTEMPT)
    ledger.append("look", {"product": "trains", "window": ["2013-01"], "comparison": "c", "gate": "g", "run": "r"})


STATEMENTS = [
    "DELETE FROM {0}",
    "UPDATE {0} SET {1} = {1}",
    "TRUNCATE {0}",
    "DELETE FROM {0} WHERE false",
    "INSERT INTO {0} SELECT * FROM {0} ON CONFLICT ({1}) DO UPDATE SET {1} = EXCLUDED.{1}",
]


@pytest.mark.parametrize("table", TABLES)
def test_the_database_itself_refuses_to_change_a_row(ledger: Ledger, table: str) -> None:
    fill(ledger)
    columns = schema.metadata.tables[table].columns
    unique = next((c.name for c in columns if c.primary_key), columns.keys()[0])
    with ledger.engine.connect() as connection:
        before = connection.execute(text(f"SELECT * FROM {table}")).fetchall()
    # no row of inputs can be in conflict: it has no unique column
    for statement in (statement for statement in STATEMENTS if "CONFLICT" not in statement or table != "inputs"):
        with pytest.raises(DBAPIError, match="append-only"), ledger.engine.begin() as connection:
            connection.execute(text(statement.format(table, unique)))
    with ledger.engine.connect() as connection:
        assert before
        assert connection.execute(text(f"SELECT * FROM {table}")).fetchall() == before


def test_opening_again_changes_nothing_and_repairs_a_trigger_that_is_gone(ledger: Ledger) -> None:
    fill(ledger)
    query = text("SELECT oid, tgname FROM pg_trigger WHERE NOT tgisinternal ORDER BY tgname")

    def triggers() -> list[tuple[object, ...]]:
        again = Ledger(ledger.url)
        with again.engine.connect() as connection:
            own_ledger = [tuple(row) for row in connection.execute(query)]
        again.close()
        return own_ledger

    before = triggers()
    assert len(before) == len(TABLES)
    assert triggers() == before
    with ledger.engine.begin() as connection:
        connection.execute(text("DROP TRIGGER entries_append_only ON entries"))
        connection.execute(text("ALTER TABLE inputs DISABLE TRIGGER inputs_append_only"))
    assert [name for _, name in triggers()] == [name for _, name in before]
    with pytest.raises(DBAPIError, match="append-only"), ledger.engine.begin() as connection:
        connection.execute(text("DELETE FROM inputs"))


OPENER = """
import sys
from resources.ledger.ledger import Ledger
from resources.settings import settings
Ledger(sys.argv[1]).append("refusal", {})
"""


@pytest.mark.long
def test_processes_make_the_ledger_at_once(url: str) -> None:
    openers = [subprocess.Popen([sys.executable, "-c", OPENER, url], cwd=ROOT) for _ in range(3)]
    assert [opener.wait() for opener in openers] == [0] * 3
    ledger = Ledger(url)
    assert (len(ledger.entries()), broken(ledger)) == (3, [])
    ledger.close()


def test_partitions_are_ordered_by_their_bytes_whatever_the_servers_language(ledger: Ledger) -> None:
    with ledger.engine.connect() as connection:
        assert connection.scalar(text("SELECT 'a' < 'B'")) is True  # English; as bytes it is the other way round
    for number, as_of in enumerate(["B", "a"]):
        own_release = release(f"{as_of}.x", as_of)
        ledger.publish(own_release, run="r")
        ledger.move_pointer("promotion", pointing(own_release.snapshot, as_of=as_of), expected=_answering(ledger))
        assert number < 2
    before = ledger.pointer("trains", "production", before="a")
    assert before is not None
    assert before.body.as_of == "B"
    assert ledger.pointer("trains", "production", before="B") is None


def _answering(ledger: Ledger) -> str | None:
    now = ledger.pointer("trains", "production")
    return now.body.bundle if now else None


def test_the_graph_is_read_from_it(ledger: Ledger, tmp_path: Path) -> None:
    fill(ledger)
    graph = open_graph(ledger, tmp_path / "graph")
    assert graph.keys_of(graph.up.reached([1])) == ["2013-01", "2013-01"]


def test_a_ledger_is_verified_from_the_server(space: Workspace) -> None:
    checked = verify(space.settings)
    assert (checked.discrepancies, checked.counts["entries"]) == ((), 6)


@pytest.mark.parametrize(
    ("forgery", "where"),
    [
        ("UPDATE entries SET kind = 'rollback' WHERE seq = 7", "ledger entry 7"),
        ("DELETE FROM inputs", "ledger table inputs"),
        ("DELETE FROM entries WHERE seq = 7", "head checkpoint ledger.head"),
    ],
)
def test_what_came_since_the_last_check_is_verified_from_the_server(space: Workspace, forgery: str, where: str) -> None:
    with remembered(space.settings) as memory:
        memory.keep(verify_new(space.settings, memory).point)
    space.ledger.append("refusal", {"by": "ann"})
    with remembered(space.settings) as memory:
        checked = verify_new(space.settings, memory)
    assert (checked.discrepancies, checked.since, checked.counts["entries"]) == ((), 6, 1)
    _forge(space, forgery)
    with remembered(space.settings) as memory:
        assert where in _places(verify_new(space.settings, memory))


FORGERIES = [
    ("UPDATE entries SET body = replace(body, '1.5e-07', '15e-8')", "ledger entry 3"),
    ("UPDATE entries SET kind = 'rollback' WHERE seq = 6", "ledger entry 6"),
    ("DELETE FROM entries WHERE seq = 2", "ledger entry 3"),
    ("DELETE FROM entries WHERE seq = 6; DELETE FROM pointers", "head checkpoint ledger.head"),
    ("UPDATE evidence SET passed = 0", "ledger table evidence, entry 3"),
    ("DELETE FROM inputs", "ledger table inputs, entry 4"),
    ("INSERT INTO inputs VALUES (99, NULL, 'a', 'b', 'c')", "ledger table inputs, entry 99"),
    ("UPDATE pointers SET release = 'x'", "ledger table pointers, entry 6"),
]


@pytest.mark.parametrize(("forgery", "where"), FORGERIES)
def test_a_forged_ledger_is_found_with_its_culprit(space: Workspace, forgery: str, where: str) -> None:
    _forge(space, forgery)
    assert where in _places(verify(space.settings))


def _forge(space: Workspace, forgery: str) -> None:
    with space.ledger.engine.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))  # what a superuser can do: no triggers
        for statement in forgery.split(";"):
            connection.execute(text(statement))


def test_a_trigger_that_is_off_is_found(space: Workspace) -> None:
    with space.ledger.engine.begin() as connection:
        connection.execute(text("ALTER TABLE entries DISABLE TRIGGER ALL"))
    assert _places(verify(space.settings)) == ["ledger"]


def test_verifying_writes_nothing_to_the_server(space: Workspace) -> None:
    def state() -> object:
        with space.ledger.engine.connect() as connection:
            rows = [connection.execute(select(table)).fetchall() for table in schema.metadata.sorted_tables]
            return rows, connection.scalar(text("SELECT pg_snapshot_xmax(pg_current_snapshot())"))

    before = state()
    verify(space.settings)
    assert state() == before


def test_an_erased_body_is_a_note_and_every_other_change_stays_refused(space: Workspace) -> None:
    space.ledger.append("refusal", {"by": "Ann Example", "reasons": []})
    space.ledger.append("refusal", {"by": "Ben Example", "reasons": []})
    done = erase(space.ledger, 7, by="ben", reason="asked")
    assert (done.erasure.seq, done.is_wiped) == (9, False)
    checked = verify(space.settings)
    assert (_places(checked), [one.where for one in checked.discrepancies]) == ([], ["ledger entry 7"])
    assert broken(space.ledger) == []
    for statement in ("UPDATE entries SET body = '{}' WHERE seq = 7", "UPDATE entries SET at = at", "DELETE FROM entries"):
        with pytest.raises(DBAPIError, match="append-only"), space.ledger.engine.begin() as connection:
            connection.execute(text(statement))


def test_a_tombstone_that_no_entry_records_is_found(space: Workspace) -> None:
    entry = space.ledger.append("refusal", {"by": "Ann Example", "reasons": []})
    body = canonical_json(tombstone(digest_json(entry.body))).decode()
    with space.ledger.engine.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text("UPDATE entries SET body = :body WHERE seq = 7"), {"body": body})
    assert _places(verify(space.settings)) == ["ledger entry 7"]


def test_a_failed_erasure_leaves_the_refusal_of_changes(space: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    before = [space.ledger.append("refusal", {"by": name, "reasons": []}) for name in ("Ann", "Ben")]
    monkeypatch.setattr("resources.ledger.erasure.canonical_json", lambda body: b"{}")  # the row is not found
    with pytest.raises(LedgerConflict, match="erased by somebody else"):
        erase(space.ledger, 7, by="ben", reason="asked")
    assert space.ledger.entries()[-2:] == before
    assert verify(space.settings).discrepancies == ()


def test_entries_chained_by_the_rule_of_before_verify_and_go_on(server: str, tmp_path: Path) -> None:
    old = Workspace(settings_of(old_home.unpack(tmp_path / "old")))
    own = Workspace(replace(old.settings, ledger=new_database(server, f"ledger{next(NUMBERS)}")))
    ledger_copy(old.ledger, own.ledger)
    assert verify(own.settings).discrepancies == ()
    own.ledger.append("refusal", {"by": "Ann Example"})
    with pytest.raises(ErasureRefused, match="chained by the old rule"):
        erase(own.ledger, old_home.REFUSAL, by="ben", reason="asked")
    erase(own.ledger, old_home.ENTRIES + 1, by="ben", reason="asked")
    assert _places(verify(own.settings)) == []
    for space in (old, own):
        space.ledger.close()


def test_a_recall_is_planned_recorded_and_refuses_what_was_made_from_it(space: Workspace) -> None:
    served = space.ledger.manifest(space.ledger.moves("trains", "production")[-1].body.manifest)
    assert served
    recall = recalls.of_release(served, reason="a bad day", by="ann")
    assert recalls.descendants(space.ledger, recall) == [served]
    assert recalls.record(space.ledger, recall)
    with pytest.raises(recalls.Recalled, match="a bad day"):
        recalls.refuse(space.ledger, [served])


def test_a_role_that_may_only_read_and_report_serves_and_makes_no_table(url: str, space: Workspace, tmp_path: Path) -> None:
    role = f"server{next(NUMBERS)}"
    with space.ledger.engine.begin() as connection:
        for statement in [f"CREATE ROLE {role} LOGIN", *grants(space.ledger, role)]:
            connection.execute(text(statement.removesuffix(";")))
    serves(space, release("2013-03.two", "2013-03"))
    own_settings = replace(
        settings_of(tmp_path / "machine"), ledger=url.replace("postgres@", f"{role}@"), store=space.settings.store
    )
    machine = Workspace(own_settings)
    follower = followed(machine, "trains", "production")
    now = follower.pointer()
    assert now
    assert (now.release, follower.link.away_since) == ("2013-03.two", None)
    report = Replica(product="trains", environment="production", host="b", process=7, address="http://b:1", release="r1")
    follower.report(report)
    (seen,) = replicas.replicas(space.ledger.engine, "trains")
    assert (seen.replica, seen.is_silent, follower.link.unreported) == (report, False, None)
    replicas.note_served_files(machine.ledger.engine, "predictions/trains", ["predictions/trains/a.parquet"])
    assert replicas.served_files(machine.ledger.engine, "predictions/trains") == ["predictions/trains/a.parquet"]
    with pytest.raises(LedgerAway, match="role may only read the ledger"):
        follower.roll_back("r1", "ann", "a test")
    with pytest.raises(DBAPIError, match="permission denied"):
        machine.ledger.append("refusal", {"by": "Ann"})
    follower.leave(report)
    assert replicas.replicas(space.ledger.engine, "trains") == []
    with space.ledger.engine.begin() as connection:
        connection.execute(text(f"DROP OWNED BY {role}"))
        connection.execute(text(f"DROP ROLE {role}"))


def test_a_ledger_without_the_newest_tables_tells_such_a_role_what_to_do(url: str, space: Workspace) -> None:
    role = f"server{next(NUMBERS)}"
    with space.ledger.engine.begin() as connection:
        for statement in [f"CREATE ROLE {role} LOGIN", *grants(space.ledger, role), "DROP TABLE replicas"]:
            connection.execute(text(statement.removesuffix(";")))
    with pytest.raises(LedgerRefused, match=r"permission denied .*ml-assets ledger grants ROLE"):
        _ = Ledger(url.replace("postgres@", f"{role}@")).engine


def test_a_ledger_moves_from_sqlite_to_postgresql_and_goes_on_there(url: str, tmp_path: Path) -> None:
    old = Workspace(settings_of(old_home.unpack(tmp_path / "old")))
    own = Workspace(replace(old.settings, ledger=url))
    head = move(old.ledger, url)
    assert head == newest(own.ledger)
    assert verify(own.settings).discrepancies == ()
    own.ledger.append("refusal", {"by": "Ann Example"})
    assert len(own.ledger.entries()) == head.seq + 1
    with pytest.raises(LedgerMoved, match="was moved to postgresql"):
        old.ledger.append("refusal", {"by": "Ann Example"})
    with pytest.raises(MoveRefused, match=f"holds {head.seq + 1} entries already"):
        move(Ledger(f"sqlite:///{_other(tmp_path)}"), url)
    for space in (old, own):
        space.ledger.close()


def _other(tmp_path: Path) -> Path:
    ledger = Ledger(f"sqlite:///{tmp_path / 'other.db'}")
    ledger.append("refusal", {"by": "Ben Example"})
    ledger.close()
    return tmp_path / "other.db"


def test_a_damaged_ledger_is_not_moved_and_the_target_stays_empty(url: str, tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{_other(tmp_path)}")
    for name in ("Cai", "Dee"):
        ledger.append("refusal", {"by": name})
    with ledger.engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER entries_no_update")
        connection.exec_driver_sql("UPDATE entries SET at = '2001-01-01' WHERE seq = 2")
    with pytest.raises(MoveRefused, match="entry 2 is not what was written"):
        move(ledger, url)
    target = Ledger(url)
    assert target.entries() == []
    for one in (target, ledger):
        one.close()


def _places(checked: Verified) -> list[str]:
    return [finding.where for finding in checked.discrepancies if not finding.is_note]


def test_a_role_that_may_only_read_and_insert_can_write_the_ledger(ledger: Ledger) -> None:
    fill(ledger)
    with ledger.engine.begin() as connection:
        connection.execute(text("DROP ROLE IF EXISTS writer"))
        connection.execute(text("CREATE ROLE writer LOGIN"))
        connection.execute(text("GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO writer"))
    writer = Ledger(ledger.url.replace("postgres@", "writer@"))
    writer.publish(manifest("by the writer", stage="model"), run="r")
    assert broken(writer) == []
    refused = writer.append("refusal", {"by": "Ann Example"})
    with pytest.raises(ErasureRefused, match="only the owner of the ledger's tables may erase"):
        erase(writer, refused.seq, by="ben", reason="asked")
    assert writer.entries()[-1] == refused
    with pytest.raises(DBAPIError, match="must be owner"), writer.engine.begin() as connection:
        connection.execute(text("ALTER TABLE entries DISABLE TRIGGER ALL"))
    writer.close()
    with ledger.engine.begin() as connection:
        connection.execute(text("DROP OWNED BY writer"))
        connection.execute(text("DROP ROLE writer"))
