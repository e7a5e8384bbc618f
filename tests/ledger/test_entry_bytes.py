"""What is written into the ledger, entry by entry, is byte for byte what older code wrote: hashes cover these bytes."""

from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.digests import canonical_json
from ml_assets.core.gates.records import LookRecord
from ml_assets.core.lineage.attempts import AttemptRecord
from ml_assets.core.lineage.extractions import ExtractionRecord
from ml_assets.core.lineage.manifests import Input, Manifest
from ml_assets.core.lineage.triggers import TriggerRecord
from ml_assets.core.notices import Notice, SentRecord
from ml_assets.core.outcomes.records import ProbationRecord
from ml_assets.core.release.records import Terms
from resources.endpoints import shadows
from resources.ledger import acceptances, head_checkpoint, probations, recalls, reopenings, triggers
from resources.ledger import ledger as ledgers
from resources.ledger.budget import Budget, Look
from resources.ledger.decisions import Decisions
from resources.ledger.erasure import erase
from resources.ledger.head_checkpoint import Head
from resources.ledger.ledger import KINDS
from resources.ledger.restoration import restore
from tests.conftest import settings_of
from tests.support.gated import product
from tests.support.records import manifest, release

GOLDEN = Path(__file__).parents[1] / "data" / "ledger_entries.jsonl"
"""Each entry's hash, kind and body, as the code wrote them while bodies were plain mappings (commit db8c283), or first wrote
what came later."""
NUMBERS = {"estimate": 0.7, "standard_error": 0.01, "low": 0.65, "high": 0.75, "p": 0.001, "skewness": None, "units": 30}
CLAIM = {
    **NUMBERS,
    "name": "floor",
    "kind": "prove",
    "text": "roc_auc(candidate) > 0.6",
    "outcome": "PASS",
    "message": "0.7",
    "sign": ">",
    "limit": 0.6,
    "rows": 6000,
    "further_units": None,
    "detectable": 0.05,
    "parts": [{**NUMBERS, "where": "line=A", "outcome": "PASS", "rows": 6000, "note": ""}],
    "left_out": [],
    "missing": [],
}
VERDICT = {
    "decision": "REJECT",
    "reasons": ["so"],
    "claims": [CLAIM],
    "not_asked": ["stable"],
    "gate": "a" * 64,
    "level": 0.01,
    "alpha": 0.05,
    "looks": 5,
    "unit": "day",
    "units": 30,
    "rows": 6000,
    "is_first": True,
    "is_better": False,
    "guarantee": "If so.",
}
TERMS = Terms(unit="day", alpha=0.05, max_harm=0.01, bound=0.5)


def write(home: Path) -> Workspace:
    """A ledger with an entry of every kind, written by the code that writes each."""
    space, own_product = Workspace(settings_of(home / "home")), product(home / "products")
    delivered = Input("landing/trains/trips", "2013-01", "d" * 64)
    raw = manifest("raw", stage="raw", facts={"rows": {"trips": 8}}, inputs=[delivered])
    model = manifest("model", stage="model", facts={"rows": 7, "train": ["2013-01"], "loss": 0.25}, inputs=[raw.as_input()])
    evaluation = _evaluation(model)
    given = [source.as_input() for source in (model, evaluation)]
    first, second, third = (release(f"2013-0{n}.{n * 11111111}", as_of=f"2013-0{n}", inputs=given) for n in (2, 3, 4))
    source: Any = {"code": {"commit": "c0ffee" * 6 + "beef", "is_dirty": False}}
    for source_now in (raw, model, evaluation, first, second, third):
        space.ledger.publish(
            source_now, run="run-1", source=source, seconds={"wall": 1.5, "cpu": 2.0} if source_now is model else None
        )
    details = {"identity": "1" * 64, "description": "ü holds", "severity": "WARN", "values": {"rows": 1.5e-7, "told": None}}
    space.ledger.add_evidence(subject=raw.id, claim="complete", passed=False, details=details, run="run-1")
    window = ("2013-02", "2013-03")  # as looks were charged before their limits were recorded
    space.ledger.append("look", LookRecord(product="trains", window=window, comparison="one", gate="g" * 64, run="run-2"))
    Budget(space.ledger).settle(own_product, Look(window, "one", 1, "g" * 64, "", "run-2"), "REJECT")
    who: Any = {"by": " anna ", "reason": "slices look fine", "via": "cli"}
    Decisions(space.ledger).overrule(own_product, evaluation, model, reasons=["the verdict is REJECT: so"], **who)
    Decisions(space.ledger).answer(own_product, first, evaluation, decision="approved", **who)
    moved: Any = {"by": "dagster run run-2", "reason": "ACCEPT as of 2013-02"}
    space.endpoints.move("staging", first, environment="staging", expected=None, **moved)
    for before, now in ((None, first), (first, second)):
        expected = before.snapshot if before else None
        space.endpoints.move("promotion", now, environment="production", expected=expected, is_proven=now is second, **moved)
    champion = space.ledger.pointer("trains", "production")
    assert champion is not None
    started = shadows.start(space.ledger, third, champion=champion, terms=TERMS, by="the endpoint", reason="so", share=0.25)
    shadows.stop(space.ledger, started, outcome="harm", evidence={"lower": 0.02, "units": 30}, by="the judge", reason="worse")
    space.endpoints.rollback("trains", to=None, by="ben", reason="late rates look wrong")
    recalls.record(space.ledger, recalls.of_partition(raw, reason="wrong month", by="ben"))
    recalls.record(space.ledger, recalls.of_release(third, reason="it does harm", by="ben"))
    space.ledger.append("refusal", {"product": "trains", "stage": "registry", "reasons": ["no release of ours"], "by": "Ann"})
    erase(space.ledger, space.ledger.entries()[-1].seq, by="ben", reason="Ann asked for it")
    head_checkpoint.replace(space.settings.ledger_head, Head(99, "0" * 64))
    restore(space.ledger, {"trains": "2013-03"}, by=" ben ", reason="the disk is gone")
    attempt = {"product": "trains", "partition": "2013-02", "content": "4" * 64, "reference": "5" * 64, "code": "6" * 64}
    ended: Any = {"end": "gave up", "outcome": "broken", "reason": "its process ended"}
    space.ledger.append("attempt", AttemptRecord(**attempt, number=4, tries=4, run="run-3", **ended))
    details_now: Any = {
        "why": "its process ended",
        "serves": "",
        "command": "ml-assets run trains",
        "link": "",
        "at": "2013-05-02",
    }
    about: Any = {"event": "broken", "severity": "error", "product": "trains", "partition": "2013-02", "title": "the run broke"}
    notice = space.ledger.append("notice", Notice(id="7" * 24, **about, **details_now))
    space.ledger.append("sent", SentRecord(notice=notice.seq, channel="log"))
    trigger: Any = {"kind": "schedule", "key": "2013-05-06T06:00:00+00:00", "why": "retrain.cron says so", "run": "run-4"}
    space.ledger.append("trigger", TriggerRecord(product="trains", partition="2013-03", **trigger))
    triggers.freeze(space.ledger, "trains", until=datetime(2013, 6, 1, tzinfo=UTC), by=" ann ", reason="holidays")
    acceptances.accept(space.ledger, raw, by=" ann ", reason="it was a strike")
    there: Any = {**trigger, "run": "", "satisfied_by": "release 2013-03.22222222"}
    space.ledger.append("trigger", TriggerRecord(product="trains", partition="2013-03", **there))
    kept: Any = {"why": "worse by 30 units", "partitions": ("2013-04",), "claims": {"not_worse": {"effect": -0.1, "units": 30}}}
    over: Any = {"promotion": "8" * 64, "bundle": "b" * 64, "release": "2013-03.22222222", "replaced": "a" * 64}
    probations.end(space.ledger, ProbationRecord(product="trains", outcome="broken", **over, **kept))
    pooled: Any = {"tested": ["2013-06", "2013-07"], "paid_by": ["2013-07"]}
    Budget(space.ledger).charge(own_product, **pooled, comparison="two", gate="g" * 64, run="run-5")
    reopenings.reopen(space.ledger, "trains", "2013-07", by=" ann ", reason="no new customers")
    extraction: Any = {
        "asked": "s3://bucket/{partition}/*.csv",
        "state": "5" * 64,
        "files": {"s3://bucket/2013-07/a.csv": "6" * 64},
    }
    space.ledger.append(
        "extraction",
        ExtractionRecord(product="trains", table="trips", partition="2013-07", content="9" * 64, rows=8, **extraction),
    )
    return space


def _evaluation(model: Manifest) -> Manifest:
    facts = {"verdict": VERDICT, "metrics": {}, "rows": 6000, "candidate": model.data_version, "champion": None, "anchor": None}
    facts |= {"tested": ["2013-02", "2013-03"], "question": "q" * 64, "look": {"number": 1, "comparison": "one"}}
    return manifest("evaluation", stage="evaluation", partition="2013-03", facts=facts, inputs=[model.as_input()])


def lines(space: Workspace) -> list[str]:
    """One line an entry."""
    return [f"{entry.hash} {entry.kind} {canonical_json(entry.body).decode()}" for entry in space.ledger.entries()]


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = count()
    monkeypatch.setattr(ledgers, "_now", lambda: f"2013-05-01T00:00:{next(seconds):02}.000000+00:00")


@pytest.mark.usefixtures("ticking")
def test_an_entry_of_every_kind_has_the_bytes_that_it_had_before(tmp_path: Path) -> None:
    space = write(tmp_path)
    assert {entry.kind for entry in space.ledger.entries()} == set(KINDS)
    assert lines(space) == GOLDEN.read_text(encoding="utf-8").splitlines()
