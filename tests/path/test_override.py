"""An override lets one evaluation of one model through, by name, and nothing around the verdict lets anything through."""

from typing import Any

import dagster as dg
import msgspec
import pytest
from click.testing import Result

from checks import gates
from ml_assets.core.digests import canonical_json
from ml_assets.core.gates.bounds import ClaimEvidence
from ml_assets.core.gates.hypotheses import bounds_in_claim_units
from ml_assets.core.gates.verdict import gate_digest
from ml_assets.core.lineage.manifests import Manifest, Output
from ml_assets.core.lineage.verdict_facts import VerdictFacts
from ml_assets.core.release.clearance import Clearance, clearance
from ml_assets.spec.claim_grammar import parse
from ml_assets.spec.product import Product
from resources.dagster_resources import resources_of
from resources.ledger.budget import Budget, Look
from resources.tracking.registry import versions
from sensors import decisions
from tests.support.gated import spread
from tests.support.homes.path_homes import Run
from tests.support.homes.people_home import ASKS_NOBODY, FIRST, SECOND, UNSURE, People, json_of, rejected, turned_down, waiting

__all__ = ["rejected", "turned_down", "waiting"]

WHO = {"by": "anna", "reason": "the floor is for another season"}


def launched(at: People) -> list[tuple[str, str]]:
    with dg.build_sensor_context(resources=resources_of(at.home.space.settings)) as context:
        result = decisions.build(at.home.product)(context)
    requests = result.run_requests or [] if isinstance(result, dg.SensorResult) else []
    return [(str(r.partition_key), str(r.run_key)) for r in requests if isinstance(r, dg.RunRequest)]


def released(at: People) -> Manifest | None:
    """The release that was made from the evaluation that stands."""
    release, evaluation = at.home.current("release", SECOND), at.home.get("evaluation", SECOND)
    return release if release and at.home.space.lineage.made_from(release)["evaluation"].id == evaluation.id else None


def forge(at: People, stage: str, *, files: dict[str, bytes] | None = None, **facts: Any) -> Manifest:
    """Publish what stands for the stage again, with other facts, as somebody who can write to the ledger might."""
    present, space = at.home.get(stage, SECOND), at.home.space
    content = {name: space.snapshots.read(present.snapshot, name) for name in space.snapshots.open(present.snapshot).members}
    output = Output(content | (files or {}))
    forged = Manifest(
        present.recipe, space.snapshots.write(output.files).digest, present.data_version, {**present.facts, **facts}
    )
    space.ledger.publish(forged, run="forged")
    return forged


def as_if(verdict: dict[str, Any], outcome: str, *, estimate: float) -> list[dict[str, Any]]:
    """The claims with numbers that go together: what is to be proven has this estimate."""

    def numbers(claim: dict[str, Any]) -> dict[str, Any]:
        about = {"constant": claim["limit"], "sign": claim["sign"], "note": "", "is_certain": False}
        test = ClaimEvidence(value=estimate, spread=spread(0.004, claim["units"]), **about)
        low, high = bounds_in_claim_units(test, parse(claim["text"]), verdict["level"])
        known = {"estimate": estimate, "low": low, "high": high, "p": test.p_proof}
        known |= {name: getattr(test.spread, name) for name in ("standard_error", "freedom", "skewness", "past_skewness")}
        known |= {"correlation": 0.0, "effective_units": claim["units"]}
        return {**claim, **known, "outcome": outcome, "parts": []}

    return [numbers(claim) if claim["kind"] == "prove" else claim for claim in verdict["claims"]]


def alone(at: People, *stages: str) -> Run:
    """The stages without anything before them, checks left out."""
    return at.home.run(SECOND, only=stages)


def test_a_rejected_candidate_is_withheld(rejected: People) -> None:
    run = rejected.run
    assert isinstance(run, Run)
    assert run.success
    assert {"gates_passed", "floor"} <= run.failed_checks & run.warnings
    assert "release" not in run.materialized
    assert released(rejected) is None


def test_the_release_alone_is_refused(turned_down: People) -> None:
    run = alone(turned_down, "release")
    assert "release" not in run.materialized
    assert "the verdict is REJECT" in run.errors["release"]
    assert "gate floor did not pass" in run.errors["release"]
    assert [entry.body["stage"] for entry in turned_down.entries("refusal")] == ["release"]
    assert released(turned_down) is None


def test_with_the_checks_left_out_it_is_withheld_all_the_same(turned_down: People) -> None:
    claims = ["gates_passed", *(claim.name for claim in turned_down.home.product.gates.claims)]
    run = turned_down.home.run(SECOND, without=[f"evaluation:{claim}" for claim in claims])
    assert run.success
    assert not run.materialized.keys() & {"release", "endpoint/staging", "endpoint/production"}
    assert released(turned_down) is None


def test_a_check_that_only_warns_opens_nothing(turned_down: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "_excused", lambda *_: "we are in a hurry")
    run = turned_down.home.run(SECOND)
    assert "(we are in a hurry)" in run.descriptions["gates_passed"]
    assert "release" not in run.materialized
    assert released(turned_down) is None


def test_the_endpoint_alone_takes_an_older_release_only_for_the_gates_of_now(turned_down: People) -> None:
    run = turned_down.home.run("", only=["endpoint/production"])
    assert "the verdict was given for other gates than product.yaml declares now" in run.errors["endpoint/production"]
    assert "gate floor was judged as another claim" in turned_down.refused()[0]
    assert turned_down.home.serving() is None


@pytest.mark.long
def test_a_forged_verdict_is_found_whatever_else_is_forged_with_it(turned_down: People) -> None:
    verdict = turned_down.home.get("evaluation", SECOND).facts["verdict"]
    forge(turned_down, "evaluation", verdict={**verdict, "decision": "ACCEPT", "reasons": []})
    refused = alone(turned_down, "release").errors["release"]
    assert "gate floor did not pass" in refused
    assert "the verdict is not the one in the evaluation's snapshot" in refused

    claims = as_if(verdict, "PASS", estimate=0.99)
    whole = {**verdict, "decision": "ACCEPT", "reasons": [], "claims": claims}
    forge(turned_down, "evaluation", verdict=whole)
    refused = alone(turned_down, "release").errors["release"]
    assert "gate floor did not pass" not in refused
    assert "the verdict is not the one in the evaluation's snapshot" in refused

    forge(turned_down, "evaluation", verdict=whole, files={"verdict.json": canonical_json(whole)})
    refused = alone(turned_down, "release").errors["release"]
    assert "snapshot" not in refused
    assert "no look at this test window was charged that gave ACCEPT" in refused

    facts = turned_down.home.get("evaluation", SECOND).facts
    look = Look((SECOND,), facts["look"]["comparison"], facts["look"]["number"], verdict["gate"], "", "forged")
    Budget(turned_down.home.space.ledger).settle(turned_down.home.product, look, "ACCEPT")
    refused = alone(turned_down, "release").errors["release"]
    assert "was charged" not in refused
    assert "its stored scores give REJECT, not ACCEPT: floor: 0." in refused
    assert len(turned_down.refused()) == 4


def test_a_verdict_about_another_model_or_champion_is_refused_and_not_overridden(turned_down: People) -> None:
    champion = {"release": "2013-01.aaaaaaaa", "bundle": "a" * 64}
    for facts, reason in (
        ({"candidate": "b" * 64}, "the verdict is about model bbbbbbbbbbbb"),
        ({"champion": champion}, "the verdict compares with release aaaaaaaaaaaa, but no champion is the champion"),
    ):
        forge(turned_down, "evaluation", **facts)
        assert reason in alone(turned_down, "release").errors["release"]
        assert reason in turned_down.job("override", {"partition": SECOND, **WHO})
    assert turned_down.entries("override") == []
    assert [entry.body["stage"] for entry in turned_down.entries("refusal")] == ["release", "override"] * 2


@pytest.mark.long
def test_an_override_lets_it_answer_after_a_second_person_and_is_told_everywhere(
    turned_down: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    def command(*args: str) -> Result:
        return turned_down.command(monkeypatch, *args)

    done = json_of(command("override", "flights", "-p", SECOND, "--by", "anna", "--reason", WHO["reason"], "--json"))
    assert done["success"]
    assert any("the verdict is REJECT" in reason for reason in done["passed_over"])
    release = released(turned_down)
    assert release is not None
    assert (release.facts["override"]["by"], release.facts["override"]["reason"]) == ("anna", WHO["reason"])
    assert done["waits"] == {
        release.facts["release"]: "waits for approval by a second person as well as anna: "
        "anna overrode a REJECT, and four eyes are required"
    }
    assert b"Overridden by anna" in turned_down.home.space.snapshots.read(release.snapshot, "card.md")
    assert "somebody" not in turned_down.job("approve", {"release": turned_down.release, **WHO})
    assert turned_down.home.run(SECOND).success
    assert turned_down.home.serving() is None, "anna overrode, so anna is not a second person"

    assert turned_down.job("approve", {"release": turned_down.release, "by": "ben", "reason": "so be it"}) == ""
    run = turned_down.home.run(SECOND)
    assert run.success
    assert run.failed_checks >= {"gates_passed", "floor"}
    assert "(overridden by anna: the floor is for another season)" in run.descriptions["gates_passed"]
    assert turned_down.home.serving() == turned_down.release
    (move,) = turned_down.entries("promotion")
    assert move.body["by"] == "anna and ben"
    assert move.body["reason"].startswith(f"override of REJECT as of {SECOND} by anna: {WHO['reason']}")
    assert move.body["is_proven"] is False
    tags = next(
        v.tags for v in versions(turned_down.home.space.tracking.client(), "flights") if v.tags["bundle"] == release.snapshot
    )
    assert tags["override"] == f"by anna: {WHO['reason']}"
    lineage = command("lineage", turned_down.release).output
    assert f"override at {release.facts['override']['at'][:19]} by anna (cli): {WHO['reason']}" in lineage


@pytest.mark.long
def test_the_override_job_and_the_sensor_release_it_once(turned_down: People) -> None:
    assert turned_down.job("override", {"partition": SECOND, **WHO}) == ""
    (entry,) = turned_down.entries("override")
    assert launched(turned_down) == [(SECOND, f"{SECOND}:{entry.hash}")]
    run = turned_down.home.run(SECOND)
    assert run.computed == {"release", "endpoint/staging"}
    assert launched(turned_down) == [], "it waits for a second person"


@pytest.mark.long
def test_neither_an_override_nor_an_approval_stands_in_for_a_try_in_staging(turned_down: People) -> None:
    assert turned_down.job("override", {"partition": SECOND, **WHO}) == ""
    run = turned_down.home.run(SECOND, without=["endpoint/staging:answers_equal_offline"])
    assert "release" in run.computed
    never = "answers_equal_offline was never checked"
    assert never in run.errors["endpoint/production"]
    assert never in turned_down.job("approve", {"release": turned_down.release, "by": "ben", "reason": "so be it"})
    assert turned_down.entries("approval") == []
    assert [entry.body["stage"] for entry in turned_down.entries("refusal")] == ["endpoint", "approval"]


@pytest.mark.long
def test_an_override_counts_for_its_evaluation_and_for_its_reasons_alone(turned_down: People) -> None:
    assert turned_down.job("override", {"partition": SECOND, **WHO}) == ""
    evaluation = turned_down.home.get("evaluation", SECOND)
    turned_down.home.edit("product.yaml", ASKS_NOBODY)
    run = alone(turned_down, "release")
    assert "InputStale: flights/release 2013-02 reads what is stale: evaluation 2013-02" in run.errors["release"]
    again = turned_down.home.run(SECOND)
    assert turned_down.home.get("evaluation", SECOND).id != evaluation.id
    assert {"gates_passed", "floor"} <= again.failed_checks
    assert "release" not in again.materialized


def test_there_is_nothing_to_override_where_the_verdict_lets_it_through(waiting: People, tmp_path: Any) -> None:
    people = People(waiting.home.copy(tmp_path / "home"))
    assert f"its verdict lets it through. Waiting: {people.release}" in people.job("override", {"partition": SECOND, **WHO})
    assert "flights/evaluation has nothing for 2013-01" in people.job("override", {"partition": FIRST, **WHO})
    assert people.entries("override") == []


@pytest.mark.long
def test_an_undecided_candidate_waits_where_the_product_asks(waiting: People, tmp_path: Any) -> None:
    people = People(waiting.home.copy(tmp_path / "home"))
    people.home.edit("product.yaml", ASKS_NOBODY, UNSURE, (r"on_inconclusive: keep", "on_inconclusive: ask"))
    run = people.home.run(SECOND)
    assert run.errors == {}
    assert run.failed_checks >= {"gates_passed", "floor"}
    assert run.success
    assert "a person decides" in run.descriptions["gates_passed"]
    assert run.materialized["endpoint/production"] is False
    assert people.job("approve", {"release": people.release, **WHO}) == ""
    assert people.home.run(SECOND).success
    assert people.home.serving() == people.release
    (move,) = people.entries("promotion")
    assert (move.body["by"], move.body["is_proven"]) == ("anna", False)
    assert move.body["reason"].startswith(f"INCONCLUSIVE as of {SECOND}; approved by anna")


def clearance_of(product: Product, verdict_facts: dict[str, Any], *, has_champion: bool) -> Clearance:
    """What the JSON of a verdict lets its candidate do."""
    return clearance(product, msgspec.convert(verdict_facts, VerdictFacts), has_champion=has_champion)


def test_what_the_product_does_not_ask_about_stays_out(rejected: People) -> None:
    facts, product = rejected.home.get("evaluation", SECOND).facts, rejected.home.product
    asks = product.model_copy(update={"gates": product.gates.model_copy(update={"on_inconclusive": "ask"})})
    undecided = {**facts["verdict"], "decision": "INCONCLUSIVE", "gate": gate_digest(asks)}
    for verdict in (facts["verdict"], undecided):
        assert clearance_of(asks, verdict, has_champion=False).reasons, "a claim that failed is never asked about"
    renamed = [{**claim, "outcome": "UNDECIDED"} for claim in undecided["claims"]]
    assert clearance_of(asks, {**undecided, "claims": renamed}, has_champion=False).reasons, "its numbers say that it failed"
    passes = as_if(undecided, "UNDECIDED", estimate=0.95)
    assert clearance_of(asks, {**undecided, "claims": passes}, has_champion=False).approval_reason
    assert clearance_of(asks, {**undecided, "claims": passes}, has_champion=True).reasons
    assert clearance_of(asks, {**undecided, "claims": [{**passes[0], "name": "other"}]}, has_champion=False).reasons
    of_other_gates = {**undecided, "claims": passes, "gate": gate_digest(product)}
    assert clearance_of(asks, of_other_gates, has_champion=False).reasons
    assert clearance_of(product, of_other_gates, has_champion=False).reasons, "on_inconclusive: keep"
