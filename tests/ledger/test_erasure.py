"""A body can be erased, for good and by name, where nothing needs it; the chain still verifies, and nothing else can go."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from ml_assets.cli import cli
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.digests import canonical_json, digest_json
from resources.ledger.chain import entry_hash, rule_of, tombstone
from resources.ledger.decisions import DecisionRefused
from resources.ledger.erasure import ERASABLE, NEEDED, ErasureRefused, erase
from resources.ledger.ledger import KINDS, Entry
from resources.ledger.records import stored
from tests.conftest import settings_of
from tests.ledger.test_chain import triggers
from tests.ledger.test_tampering import forge, raw
from tests.support import verified_home
from tests.support.faults import points_survived
from tests.support.homes import old_home
from tests.support.records import ATTEMPT, broken, pointing
from tests.support.verified_home import discrepancies_at, notes

NAME = "Ann Example"
LONG = "x" * 9000  # more than a page of the file


@pytest.fixture(scope="module")
def filled_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with two refusals (18 and 19) that name a person, and an entry after them."""
    home = verified_home.make(tmp_path_factory.mktemp("erasure") / "home")
    with closing(Workspace(settings_of(home)).ledger) as ledger:
        for text in ("short", LONG):
            ledger.append("refusal", {"product": "trains", "by": NAME, "reasons": [text]})
        ledger.add_evidence(subject="x", claim="complete", passed=True, details={}, run="r")
    return home


@pytest.fixture
def home(filled_home: Path, tmp_path: Path) -> Path:
    return verified_home.copy(filled_home, tmp_path / "home")


@pytest.fixture
def space(home: Path) -> Iterator[Workspace]:
    space = Workspace(settings_of(home))
    yield space
    space.ledger.close()


def entry(space: Workspace, seq: int) -> Entry:
    return space.ledger.entries()[seq - 1]


@pytest.mark.parametrize("seq", [18, 19])
def test_an_erased_body_leaves_its_digest_and_who_erased_it_and_why(space: Workspace, home: Path, seq: int) -> None:
    before = entry(space, seq)
    done = erase(space.ledger, seq, by=" ben ", reason="Ann asked for it")
    after = entry(space, seq)
    assert after == Entry(**{**vars(before), "body": tombstone(digest_json(before.body))})
    assert done.erasure == space.ledger.entries()[-1]
    assert done.erasure.body == {"seq": seq, "body_sha256": digest_json(before.body), "by": "ben", "reason": "Ann asked for it"}
    assert broken(space.ledger) == []
    assert rule_of(after) == "erased"
    space.ledger.close()
    assert discrepancies_at(home) == []
    assert notes(home) == [("missing", f"ledger entry {seq}")]


@pytest.mark.parametrize("is_closed", [True, False])
def test_no_file_of_the_ledger_holds_the_erased_bytes(space: Workspace, home: Path, is_closed: bool) -> None:
    def places_of(text: str) -> list[str]:
        return [path.name for path in home.glob("ledger*") if text.encode() in path.read_bytes()]

    space.ledger.append("refusal", {"by": "someone else", "reasons": []})
    assert places_of(NAME)
    assert all(erase(space.ledger, seq, by="ben", reason="asked").is_wiped for seq in (18, 19))
    if is_closed:
        space.ledger.close()
    assert (places_of(NAME), places_of(LONG[:100])) == ([], [])
    assert places_of("someone else")


def test_a_reader_in_the_way_is_told(space: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resources.ledger.database.BUSY_SECONDS", 0.2)
    with raw(space.ledger) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM entries").fetchone()
        assert not erase(space.ledger, 18, by="ben", reason="asked").is_wiped


def test_the_ledger_goes_on_after_an_erasure(space: Workspace, home: Path) -> None:
    erase(space.ledger, 18, by="ben", reason="asked")
    space.ledger.append("refusal", {"reasons": ["new"]})
    erase(space.ledger, 22, by="ben", reason="asked")
    space.ledger.close()
    assert discrepancies_at(home) == []


def test_every_other_change_is_refused_before_and_after_an_erasure(space: Workspace) -> None:
    with raw(space.ledger) as database:
        before = database.execute("SELECT sql FROM sqlite_master WHERE type = 'trigger' ORDER BY name").fetchall()
    erase(space.ledger, 18, by="ben", reason="asked")
    with raw(space.ledger) as database:
        assert database.execute("SELECT sql FROM sqlite_master WHERE type = 'trigger' ORDER BY name").fetchall() == before
        for statement in ("UPDATE entries SET body = '{}' WHERE seq = 18", "UPDATE entries SET at = at", "DELETE FROM entries"):
            with pytest.raises(Exception, match="append-only"):
                database.execute(statement)


def test_every_kind_is_either_erasable_or_kept_for_a_reason() -> None:
    assert set(KINDS) == ERASABLE | set(NEEDED)
    assert not ERASABLE & set(NEEDED)


@pytest.mark.parametrize("kind", sorted({*NEEDED, "unheard_of"}))
def test_a_body_that_something_needs_is_refused_by_name(space: Workspace, kind: str) -> None:
    seq = _of_kind(space, kind)
    before = space.ledger.entries()
    with pytest.raises(ErasureRefused, match=rf"entry {seq} \({kind}, .*cannot be erased: {kind} entries are needed: "):
        erase(space.ledger, seq, by="ben", reason="asked")
    assert space.ledger.entries() == before


def _of_kind(space: Workspace, kind: str) -> int:
    known = [recorded.seq for recorded in space.ledger.entries() if recorded.kind == kind]
    if known:
        return known[0]
    window = {"product": "trains", "window": ["2013-01"], "comparison": "c"}
    body = {**stored(ATTEMPT), **window, **stored(pointing("a", "staging", "2013-01")), "by": NAME}
    return space.ledger.append(kind, body).seq  # type: ignore[arg-type]


def test_an_entry_of_before_is_refused_with_the_reason(tmp_path: Path) -> None:
    with closing(Workspace(settings_of(old_home.unpack(tmp_path / "old"))).ledger) as ledger:
        with pytest.raises(ErasureRefused, match=r"entry 24 \(refusal, .* chained by the old rule, whose hash has the body"):
            erase(ledger, old_home.REFUSAL, by="ben", reason="asked")
        new = ledger.append("refusal", {"by": NAME})
        erase(ledger, new.seq, by="ben", reason="asked")
    assert discrepancies_at(tmp_path / "old") == []


def test_what_is_not_there_was_erased_or_was_changed_is_refused(space: Workspace) -> None:
    with pytest.raises(ErasureRefused, match="the ledger has no entry 99; its entries are 1 to "):
        erase(space.ledger, 99, by="ben", reason="asked")
    erase(space.ledger, 18, by="ben", reason="asked")
    with pytest.raises(ErasureRefused, match="its body was erased before"):
        erase(space.ledger, 18, by="ben", reason="asked")
    forge(space.ledger, "UPDATE entries SET body = replace(body, 'Ann', 'Bob') WHERE seq = 19")
    with pytest.raises(ErasureRefused, match="does not hash to what is recorded"):
        erase(space.ledger, 19, by="ben", reason="asked")


@pytest.mark.parametrize(("by", "reason"), [("", "asked"), ("ben", " ")])
def test_nobody_erases_without_a_name_and_a_reason(space: Workspace, by: str, reason: str) -> None:
    with pytest.raises(DecisionRefused, match="must not be empty"):
        erase(space.ledger, 18, by=by, reason=reason)


def forged_tombstone(space: Workspace, seq: int) -> str:
    return (
        f"UPDATE entries SET body = '{canonical_json(tombstone(digest_json(entry(space, seq).body))).decode()}' WHERE seq = {seq}"
    )


def test_a_tombstone_that_no_entry_records_is_found(space: Workspace, home: Path) -> None:
    forge(space.ledger, f"{forged_tombstone(space, 18)}; {triggers(space)}")
    space.ledger.close()
    assert discrepancies_at(home) == [("missing", "ledger entry 18")]


@pytest.mark.parametrize("change", [{"seq": 19}, {"body_sha256": "a" * 64}, {"seq": 30}, {"seq": "18"}, {"by": 1}])
def test_an_erasure_of_something_else_excuses_no_tombstone(space: Workspace, home: Path, change: dict[str, object]) -> None:
    body = {"seq": 18, "body_sha256": digest_json(entry(space, 18).body), "by": "ben", "reason": "asked"}
    space.ledger.append("erasure", body | change)
    forge(space.ledger, f"{forged_tombstone(space, 18)}; {triggers(space)}")
    space.ledger.close()
    assert ("missing", "ledger entry 18") in discrepancies_at(home)


def test_a_tombstone_of_what_is_needed_is_found_though_an_entry_records_it(space: Workspace, home: Path) -> None:
    evidence = next(recorded for recorded in space.ledger.entries() if recorded.kind == "evidence")
    digest = digest_json(evidence.body)
    space.ledger.append("erasure", {"seq": evidence.seq, "body_sha256": digest, "by": "ben", "reason": "asked"})
    forge(space.ledger, f"{forged_tombstone(space, evidence.seq)}; {triggers(space)}")
    space.ledger.close()
    assert ("missing", f"ledger entry {evidence.seq}") in discrepancies_at(home)


def test_a_body_that_came_back_is_found(space: Workspace, home: Path) -> None:
    body = canonical_json(entry(space, 18).body).decode()
    done = erase(space.ledger, 18, by="ben", reason="asked")
    forge(space.ledger, f"UPDATE entries SET body = '{body}' WHERE seq = 18; {triggers(space)}")
    space.ledger.close()
    assert discrepancies_at(home) == [("added", f"ledger entry {done.erasure.seq}")]


@pytest.mark.parametrize("statement", ["UPDATE evidence SET passed = 0", "UPDATE entries SET at = 'x' WHERE seq = 3"])
def test_what_carries_rows_is_still_checked_after_an_erasure(space: Workspace, home: Path, statement: str) -> None:
    erase(space.ledger, 18, by="ben", reason="asked")
    forge(space.ledger, f"{statement}; {triggers(space)}")
    space.ledger.close()
    assert discrepancies_at(home) != []


@pytest.mark.long
def test_an_erasure_killed_at_any_point_is_done_or_not(tmp_path: Path) -> None:
    assert points_survived("erase", tmp_path) > 5


def test_the_command_says_what_it_did(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ML_ASSETS_HOME", str(home))
    done = CliRunner().invoke(cli, ["erase", "18", "--by", "ben", "--reason", "asked"])
    assert (done.exit_code, done.output) == (0, "The body of entry 18 is erased; entry 21 records it.\n")
    checked = CliRunner().invoke(cli, ["verify", "--json"])
    assert checked.exit_code == 0
    payload = json.loads(checked.output)["findings"][0]
    assert "ben erased it at" in payload["told"]
    assert payload["told"].endswith(": asked")


def test_an_entry_hashes_the_same_before_and_after(space: Workspace) -> None:
    before = entry(space, 18)
    erase(space.ledger, 18, by="ben", reason="asked")
    written = {"seq": before.seq, "at": before.at, "kind": before.kind, "previous": before.previous}
    assert entry(space, 18).hash == before.hash == entry_hash(**written, body=before.body)
