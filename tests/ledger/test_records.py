"""Entries are read as records: by kind and version, whatever older code left out, and never as what they are not."""

from typing import Any

import pytest

from ml_assets.core.release.records import MoveRecord, ShadowRecord
from resources.ledger.chain import Entry
from resources.ledger.records import EntryMalformed, EntryNewer, read, stored
from tests.support.records import pointing

MOVE = stored(pointing("b" * 64))
SHADOW: dict[str, Any] = {name: value for name, value in MOVE.items() if name not in ("previous", "is_proven")}
SHADOW |= {"action": "start", "champion": "c" * 64, "terms": {"unit": "day", "alpha": 0.05, "max_harm": 0.01, "bound": 0.5}}


def entry(body: Any, kind: str = "promotion") -> Entry:
    return Entry(seq=12, at="2013-05-01T00:00:00.000000+00:00", kind=kind, body=body, previous="0" * 64, hash="1" * 64)


def test_a_record_has_the_entry_around_it_and_gives_its_body_back() -> None:
    found = read(entry(MOVE), MoveRecord)
    assert (found.seq, found.kind, found.hash, found.body) == (12, "promotion", "1" * 64, pointing("b" * 64))
    assert stored(found.body) == MOVE


def test_a_newer_version_is_refused_by_name_with_the_limit_and_the_next_command() -> None:
    with pytest.raises(EntryNewer) as refused:
        read(entry({**MOVE, "version": 2}), MoveRecord)
    assert str(refused.value) == (
        "ledger entry 12 (promotion, 2013-05-01T00:00:00.000000+00:00) has version 2; this ml-assets reads up to version 1: "
        "update it with `git pull && make install`"
    )


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"is_proven": "yes"}, "Expected `bool`, got `str` - at `$.is_proven`"),
        ({"release": None}, "Expected `str`, got `null` - at `$.release`"),
        ({"erased": {}, "name": ...}, "Object missing required field `name`"),
    ],
)
def test_a_wrong_shape_is_refused_with_the_entry_and_the_field(change: dict[str, Any], problem: str) -> None:
    body = {name: value for name, value in {**MOVE, **change}.items() if value is not ...}
    with pytest.raises(EntryMalformed) as refused:
        read(entry(body), MoveRecord)
    assert str(refused.value).startswith("ledger entry 12 (promotion, ")
    assert f": {problem}; `ml-assets verify` tells" in str(refused.value)


def test_fields_that_are_not_known_are_passed_over() -> None:
    assert read(entry({**MOVE, "ticket": 7}), MoveRecord).body == pointing("b" * 64)


def test_a_shadow_from_before_canaries_serves_no_share() -> None:
    found = read(entry(SHADOW, "shadow"), ShadowRecord).body
    assert (found.share, found.terms and found.terms.bound, found.outcome) == (0.0, 0.5, None)
    assert stored(found) == {**SHADOW, "share": 0.0}
