"""One hash for each entry and rule; a ledger of before keeps its rule, goes on under the new one, and gives nothing back."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.digests import canonical_json, digest_json, sha256
from ml_assets.core.gates.verdict import gate_digest
from resources.ledger import chain
from resources.ledger.budget import Budget, WindowRetired
from resources.ledger.chain import Entry, entry_hash, rule_of, tombstone
from tests.conftest import settings_of
from tests.ledger.test_tampering import forge
from tests.support.gated import product as gated
from tests.support.homes import old_home
from tests.support.records import broken, manifest, pointing
from tests.support.verified_home import contents, discrepancies_at, notes

FIELDS: dict[str, Any] = {"seq": 7, "at": "2013-01-01T00:00:00.000000+00:00", "kind": "refusal", "previous": "a" * 64}
BODY = {"by": "Ann", "reasons": ["ü"]}


def test_the_hash_of_an_entry_is_that_of_its_fields_and_its_bodys_digest() -> None:
    digest = sha256('{"by":"Ann","reasons":["ü"]}'.encode())
    written = f'{{"at":"{FIELDS["at"]}","body_sha256":"{digest}","kind":"refusal","previous":"{"a" * 64}","seq":7}}'
    assert entry_hash(**FIELDS, body=BODY) == sha256(written.encode())


def test_an_entry_verifies_without_its_body() -> None:
    whole = Entry(**FIELDS, body=BODY, hash=entry_hash(**FIELDS, body=BODY))
    erased = Entry(**FIELDS, body=tombstone(digest_json(BODY)), hash=whole.hash)
    old = Entry(**FIELDS, body=BODY, hash=chain.body_rule_hash(**FIELDS, body=BODY))
    assert [rule_of(entry) for entry in (whole, erased, old)] == ["digest", "erased", "body"]


bodies = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)
objects = st.dictionaries(st.sampled_from(["by", "erased", "body_sha256"]), bodies, max_size=2)
tombstones = st.builds(tombstone, st.text("0123456789abcdef", min_size=64, max_size=64))


@given(objects | tombstones)
def test_no_hash_is_right_under_two_rules(body: dict[str, Any]) -> None:
    ways = {
        "digest": entry_hash(**FIELDS, body=body),
        "body": chain.body_rule_hash(**FIELDS, body=body),
        "erased": chain.hash_without_body(**FIELDS, body_sha256=chain.erased_sha256(body) or "none"),
    }
    assert len(set(ways.values())) == 3
    for rule, hashed in ways.items():
        expected = None if rule == "erased" and chain.erased_sha256(body) is None else rule
        assert rule_of(Entry(**FIELDS, body=body, hash=hashed)) == expected


@pytest.mark.parametrize(
    "body", [{}, {"erased": {}}, {"erased": {"body_sha256": 1}}, {"erased": {"body_sha256": "a", "b": 1}}, {"erased": "a"}]
)
def test_only_a_digest_alone_is_a_tombstone(body: dict[str, Any]) -> None:
    assert chain.erased_sha256(body) is None
    assert chain.erased_sha256(tombstone("a") | {"more": 1}) is None
    assert chain.erased_sha256(tombstone("a")) == "a"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home that the code of before wrote."""
    return old_home.unpack(tmp_path / "home")


@pytest.fixture
def space(home: Path) -> Iterator[Workspace]:
    with closing(Workspace(settings_of(home)).ledger) as ledger:
        space = Workspace(settings_of(home))
        vars(space)["ledger"] = ledger
        yield space


def test_a_home_of_before_is_clean_and_looking_changes_no_byte(home: Path) -> None:
    before = contents(home)
    assert (discrepancies_at(home), notes(home)) == ([], [])
    assert contents(home) == before


def test_a_home_of_before_that_goes_on_is_clean_and_every_byte_is_still_predicted(home: Path, space: Workspace) -> None:
    entries = space.ledger.entries()
    assert {rule_of(entry) for entry in entries} == {"body"}
    space.ledger.append("refusal", {"reasons": ["new"]})
    space.ledger.publish(manifest("new", stage="model"), run="r")
    space.ledger.add_evidence(subject="x", claim="complete", passed=True, details={}, run="r")
    assert space.ledger.entries()[: old_home.ENTRIES] == entries
    assert [rule_of(entry) for entry in space.ledger.entries()[old_home.ENTRIES :]] == ["digest"] * 4
    assert broken(space.ledger) == []
    space.ledger.close()
    assert [kind for kind, _ in discrepancies_at(home)] == ["missing"]  # the snapshot of the manifest above is none
    assert notes(home) == []


def test_what_served_and_what_was_made_before_is_found(space: Workspace) -> None:
    move = space.ledger.pointer("trains", "production")
    assert move is not None
    assert space.snapshots.read(move.body.bundle, "model.cbm") == b"2013-02.bbbbbbbb"
    current = space.ledger.current("trains", "dataset", "2013-01")
    assert current is not None
    assert space.ledger.by_key(current.recipe.key) == current
    moved = space.ledger.move_pointer("promotion", pointing("next"), expected=move.body.bundle)
    assert space.ledger.pointer("trains", "production") == moved


def test_no_look_of_before_is_refunded(space: Workspace, tmp_path: Path) -> None:
    product = gated(tmp_path / "products", budget={"alpha": 0.05, "looks": 3, "ships": 1})
    budget, look = Budget(space.ledger), {"tested": old_home.WINDOW, "gate": gate_digest(product), "run": "r"}
    window = budget.window(product, old_home.WINDOW)
    assert [(look.comparison, look.decision) for look in window.looks] == [(name, "REJECT") for name in old_home.LOOKS]
    with pytest.raises(WindowRetired, match="3 of 3 looks are used"):
        budget.charge(product, **look, comparison="another")
    assert budget.charge(product, **look, comparison="two").number == 2
    assert len(budget.window(product, old_home.WINDOW).looks) == 3


def test_an_entry_of_the_old_rule_after_one_of_the_new_is_found(home: Path, space: Workspace) -> None:
    space.ledger.append("refusal", {"reasons": ["new"]})
    last = space.ledger.append("refusal", {"reasons": ["old way"]})
    written = {"seq": last.seq, "at": last.at, "kind": last.kind, "previous": last.previous}
    hashed = chain.body_rule_hash(**written, body=last.body)
    (home / "ledger.head").unlink()
    again = triggers(space)
    forge(space.ledger, f"UPDATE entries SET hash = '{hashed}' WHERE seq = {last.seq}; {again}")
    space.ledger.close()
    assert discrepancies_at(home) == [("changed", f"ledger entry {last.seq}")]


def test_a_body_of_before_cannot_be_replaced_by_a_tombstone(home: Path, space: Workspace) -> None:
    entry = space.ledger.entries()[old_home.REFUSAL - 1]
    body = canonical_json(tombstone(digest_json(entry.body))).decode()
    again = triggers(space)
    forge(space.ledger, f"UPDATE entries SET body = '{body}' WHERE seq = {entry.seq}; {again}")
    space.ledger.close()
    assert ("changed", f"ledger entry {entry.seq}") in discrepancies_at(home)


def triggers(space: Workspace) -> str:
    """Statements that make the triggers again, in their order."""
    with space.ledger.engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE type = 'trigger' ORDER BY rowid").scalars()
        return "; ".join(rows)
