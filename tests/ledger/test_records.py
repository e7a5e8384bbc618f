"""Entries are read as records: by kind and version, whatever older code left out, and never as what they are not."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ml_assets.core.digests import canonical_json
from ml_assets.core.gates.records import LookRecord, RestorationRecord, VerdictRecord
from ml_assets.core.lineage.acceptances import AcceptanceRecord
from ml_assets.core.lineage.attempts import AttemptRecord
from ml_assets.core.lineage.extractions import ExtractionRecord
from ml_assets.core.lineage.records import EvidenceRecord, ManifestRecord, PublicationRecord
from ml_assets.core.lineage.reopenings import ReopeningRecord
from ml_assets.core.lineage.triggers import FreezeRecord, TriggerRecord
from ml_assets.core.notices import Notice, SentRecord
from ml_assets.core.outcomes.records import ProbationRecord
from ml_assets.core.release.records import ApprovalRecord, MoveRecord, OverrideRecord, ShadowRecord
from resources.ledger.chain import Entry
from resources.ledger.ledger import KINDS, Ledger
from resources.ledger.recalls import Recall
from resources.ledger.records import EntryMalformed, EntryNewer, read, stored
from tests.ledger.test_entry_bytes import GOLDEN
from tests.support.homes import old_home
from tests.support.records import pointing

RECORDS: dict[str, type[msgspec.Struct]] = {
    "manifest": ManifestRecord,
    "publication": PublicationRecord,
    "evidence": EvidenceRecord,
    "look": LookRecord,
    "verdict": VerdictRecord,
    "restoration": RestorationRecord,
    "approval": ApprovalRecord,
    "override": OverrideRecord,
    **dict.fromkeys(("promotion", "staging", "rollback"), MoveRecord),
    "shadow": ShadowRecord,
    "recall": Recall,
    "attempt": AttemptRecord,
    "notice": Notice,
    "trigger": TriggerRecord,
    "freeze": FreezeRecord,
    "sent": SentRecord,
    "acceptance": AcceptanceRecord,
    "probation": ProbationRecord,
    "reopening": ReopeningRecord,
    "extraction": ExtractionRecord,
}
"""The record of each kind; refusals and erasures are read back by no decision."""
MOVE = stored(pointing("b" * 64))
SHADOW: dict[str, Any] = {name: value for name, value in MOVE.items() if name not in ("previous", "is_proven")}
SHADOW |= {"action": "start", "champion": "c" * 64, "terms": {"unit": "day", "alpha": 0.05, "max_harm": 0.01, "bound": 0.5}}


def entry(body: Any, kind: str = "promotion") -> Entry:
    return Entry(seq=12, at="2013-05-01T00:00:00.000000+00:00", kind=kind, body=body, previous="0" * 64, hash="1" * 64)


def test_a_record_has_the_entry_around_it_and_gives_its_body_back() -> None:
    record = read(entry(MOVE), MoveRecord)
    assert (record.seq, record.kind, record.hash, record.body) == (12, "promotion", "1" * 64, pointing("b" * 64))
    assert stored(record.body) == MOVE


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
    assert f": {problem}; `ml-assets verify` says" in str(refused.value)


def test_fields_that_are_not_known_are_passed_over() -> None:
    assert read(entry({**MOVE, "ticket": 7}), MoveRecord).body == pointing("b" * 64)


def test_a_shadow_from_before_canaries_serves_no_share() -> None:
    record = read(entry(SHADOW, "shadow"), ShadowRecord).body
    assert (record.share, record.terms and record.terms.bound, record.outcome) == (0.0, 0.5, None)
    assert stored(record) == {**SHADOW, "share": 0.0}


def test_every_kind_is_read_as_a_record_or_by_nothing() -> None:
    assert {*RECORDS, "refusal", "erasure"} == set(KINDS)


@pytest.mark.parametrize("line", [line for line in GOLDEN.read_text(encoding="utf-8").splitlines() if line.split()[1] in RECORDS])
def test_a_record_gives_back_the_bytes_it_was_read_from(line: str) -> None:
    _, kind, body = line.split(" ", 2)
    record = stored(read(entry(json.loads(body), kind), RECORDS[kind]).body)
    known = {
        name: value for name, value in record.items() if name not in ("entry", "seconds") and (name != "at" or kind == "notice")
    }
    known = {name: value for name, value in known.items() if value != "" or name not in ("by", "proof")}
    if kind == "manifest":
        known |= {"seconds": record["seconds"]} if record["seconds"] else {}
    assert canonical_json(known).decode() == body


def test_every_entry_of_an_older_home_is_read_as_a_record(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{old_home.unpack(tmp_path / 'old') / 'ledger.db'}")
    record = [read(entry, RECORDS[entry.kind]) for entry in ledger.entries() if entry.kind in RECORDS]
    ledger.close()
    assert len(record) == old_home.ENTRIES - 1
