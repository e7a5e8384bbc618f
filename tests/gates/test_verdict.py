"""Verdicts, and what a recorded one is worth: its numbers are all that is believed."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ml_assets.core.gates.levels import level
from ml_assets.core.gates.panel import panel
from ml_assets.core.gates.verdict import gate_digest, judge
from ml_assets.core.metrics.estimates import MetricError
from ml_assets.spec.product import Product
from tests.support.gated import GATES, arguments, outcome_again, product, recorded, unproven, verdict, window

CLAIMS = [claim["name"] for claim in GATES["claims"]]
WRONG = [None, "0.5", True, [], {}, float("nan")]


@pytest.fixture(scope="module")
def own_product(tmp_path_factory: pytest.TempPathFactory) -> Product:
    return product(tmp_path_factory.mktemp("gated"))


@pytest.fixture(scope="module")
def accepted(own_product: Product) -> dict[str, Any]:
    return recorded(own_product)


def test_a_candidate_that_keeps_every_claim_is_accepted(own_product: Product, accepted: dict[str, Any]) -> None:
    assert (accepted["decision"], accepted["reasons"], accepted["not_asked"]) == ("ACCEPT", [], [])
    assert [claim["name"] for claim in accepted["claims"]] == CLAIMS
    assert {claim["outcome"] for claim in accepted["claims"]} == {"PASS"}
    assert (accepted["is_first"], accepted["is_better"], accepted["units"], accepted["rows"]) == (False, True, 30, 6000)
    assert unproven(own_product, accepted, has_champion=True) == []


def test_a_claim_about_latency_that_was_recorded_once_passes_no_more(accepted: dict[str, Any]) -> None:
    recorded_once = {"kind": "require", "text": "p99_ms(candidate) < 50", "sign": "<", "limit": 50.0, "estimate": 3.0}
    fast = {**accepted["claims"][0], **recorded_once, "name": "fast", "outcome": "PASS"}
    assert outcome_again(fast, level=accepted["level"]) == "UNDECIDED"


def test_a_block_keeps_its_digest_so_that_no_window_is_charged_twice(own_product: Product) -> None:
    assert gate_digest(own_product) == "8d576999715854f99c975970b5ba5f1c3bf28a9d883a5d5d595a2b4b2fd5df74"


def test_what_an_accept_promises_is_one_sentence(accepted: dict[str, Any]) -> None:
    assert accepted["guarantee"] == (
        "If this candidate were worse than the champion by 0.05 roc_auc or more on days like these, it would have been let "
        "through with probability at most 1 % (5 % over 5 looks). Unit: day, 30 units. Not covered: what outlasts a "
        "window, a window that is off as a whole, and the first day of a kind."
    )


def test_a_doubt_lets_nothing_through_and_saves_nobody(own_product: Product) -> None:
    doubted = judge(own_product, window(), doubt="outcomes are missing")
    assert (doubted.decision, doubted.reasons) == ("INCONCLUSIVE", ("outcomes are missing",))
    assert {claim.outcome for claim in doubted.claims} == {"PASS"}
    assert judge(own_product, window(champion=4.0), doubt="outcomes are missing").decision == "REJECT"


def test_a_worse_candidate_is_rejected_with_every_reason(own_product: Product) -> None:
    judged = verdict(own_product, window(champion=4.0))
    assert judged.decision == "REJECT"
    assert [reason.split(":")[0] for reason in judged.reasons] == [
        claims.name for claims in judged.claims if claims.outcome != "PASS"
    ]
    assert len(unproven(own_product, judged.to_dict(), has_champion=True)) > 1


def test_what_is_neither_proven_nor_disproven_is_inconclusive(tmp_path: Path) -> None:
    narrow = [{"name": "not_worse", "prove": "roc_auc(candidate) - roc_auc(champion) > 0"}, GATES["claims"][2]]
    judged = verdict(product(tmp_path, claims=narrow, first_release=None), window(champion=1.58))
    assert judged.decision == "INCONCLUSIVE"
    assert "more units like these would decide" in judged.reasons[0]


@pytest.mark.parametrize(
    ("rows", "lacks"),
    [
        ({"units": 19, "rows": 5700}, "19 units (at least 20)"),
        ({"units": 30, "rows": 120}, "positives (at least 50)"),
    ],
)
def test_with_too_little_nothing_is_decided(own_product: Product, rows: dict[str, int], lacks: str) -> None:
    judged = verdict(own_product, window(**rows))
    assert (judged.decision, judged.claims) == ("INCONCLUSIVE", ())
    assert lacks in judged.reasons[0]
    assert not judged.is_better
    assert unproven(own_product, judged.to_dict(), has_champion=True)


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_one_class_is_never_accepted(own_product: Product, label: float) -> None:
    given = arguments()
    judged = verdict(own_product, panel(**given | {"y": np.full(6000, label)}))
    assert judged.decision == "INCONCLUSIVE"


def test_a_first_release_is_held_to_what_was_declared_for_it(own_product: Product) -> None:
    judged = recorded(own_product, window(champion=None))
    assert (judged["decision"], judged["is_first"], judged["is_better"]) == ("ACCEPT", True, True)
    assert [claim["name"] for claim in judged["claims"]] == ["floor"]
    assert judged["not_asked"] == [name for name in CLAIMS if name != "floor"]
    assert unproven(own_product, judged, has_champion=False) == []
    assert any("first release" in reason for reason in unproven(own_product, judged, has_champion=True))


def test_a_champion_without_an_anchor_is_an_error_and_no_verdict(own_product: Product) -> None:
    given = arguments()
    scores = {name: given["scores"][name] for name in ("candidate", "champion")}
    with pytest.raises(MetricError, match="the anchor was not scored"):
        verdict(own_product, panel(**given | {"scores": scores}))


def test_what_cannot_be_compared_is_inconclusive_and_says_why(own_product: Product) -> None:
    judged = judge(own_product, window(), trouble="the champion has no features of its own")
    assert (judged.decision, judged.reasons) == ("INCONCLUSIVE", ("the champion has no features of its own",))
    assert unproven(own_product, judged.to_dict(), has_champion=True)


@given(seed=st.integers(0, 1000), champion=st.sampled_from([1.0, 1.6, 2.0]))
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_outcome_follows_again_from_its_numbers(own_product: Product, seed: int, champion: float) -> None:
    for rows in (window(seed=seed, champion=champion), window(seed=seed, champion=None)):
        judged = recorded(own_product, rows)
        for claim in judged["claims"]:
            assert outcome_again(claim, level=judged["level"]) == claim["outcome"], claim["name"]
        refusals = unproven(own_product, judged, has_champion=not judged["is_first"])
        assert (refusals == []) is (judged["decision"] == "ACCEPT")


def test_an_undefined_part_follows_again_too(own_product: Product) -> None:
    rows = window()
    never = np.where(rows.columns["line"].to_numpy() == "A", 0.0, rows.scores["candidate"])
    judged = recorded(own_product, panel(**arguments() | {"scores": {**rows.scores, "candidate": never}}))
    fair = next(claim for claim in judged["claims"] if claim["name"] == "fair")
    assert (fair["outcome"], outcome_again(fair, level=judged["level"])) == ("UNDECIDED", "UNDECIDED")


DECIDING = (
    *("estimate", "standard_error", "freedom", "low", "high", "p", "units", "skewness", "past_skewness", "correlation"),
    *("effective_units", "limit", "sign", "kind", "text", "missing"),
)


def numbers(claim: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Every place of a recorded claim whose number decides."""
    for holder in claim["parts"] or [claim]:
        yield from ((holder, name) for name in ("estimate", "standard_error", "freedom", "low", "high", "p", "units"))


def tampered(claim: dict[str, Any], values: list[Any]) -> Iterator[dict[str, Any]]:
    """The claim with each deciding number replaced by each value in turn."""
    for place, _ in enumerate(list(numbers(claim))):
        for value in values:
            other = copy.deepcopy(claim)
            holder, name = list(numbers(other))[place]
            is_the_same = type(value) in (int, float) and abs(holder[name] - value) < 1e-9
            if not is_the_same:
                holder[name] = value
                yield other


@pytest.mark.parametrize("name", CLAIMS)
def test_a_number_that_is_missing_or_none_never_passes(own_product: Product, accepted: dict[str, Any], name: str) -> None:
    claim = next(claims for claims in accepted["claims"] if claims["name"] == name)
    for other in tampered(claim, WRONG):
        assert outcome_again(other, level=accepted["level"]) != "PASS", other
        forged = {**accepted, "claims": [other if listed is claim else listed for listed in accepted["claims"]]}
        assert unproven(own_product, forged, has_champion=True)


@pytest.mark.parametrize("name", CLAIMS)
def test_a_number_that_the_others_do_not_bear_out_never_passes(accepted: dict[str, Any], name: str) -> None:
    claim = next(claims for claims in accepted["claims"] if claims["name"] == name)
    for other in tampered(claim, [-0.4, 0, 0.001, 0.37, 1, 2, 1e9]):
        assert outcome_again(other, level=accepted["level"]) != "PASS", other


@pytest.mark.parametrize("name", CLAIMS)
@pytest.mark.parametrize("key", DECIDING)
def test_a_key_that_is_not_there_never_passes(accepted: dict[str, Any], name: str, key: str) -> None:
    claim = copy.deepcopy(next(claims for claims in accepted["claims"] if claims["name"] == name))
    for holder in [claim, *claim["parts"]]:
        holder.pop(key, None)
    assert outcome_again(claim, level=accepted["level"]) != "PASS"


@pytest.mark.parametrize("champion", [2.2, 4.0])
def test_a_claim_that_failed_cannot_be_talked_into_a_pass(own_product: Product, champion: float) -> None:
    """p flipped, bound moved, limit moved, outcome and decision said: each alone and together."""
    judged = recorded(own_product, window(champion=champion))
    at = judged["level"]
    for claim in judged["claims"]:
        if claim["outcome"] == "PASS":
            continue
        moved = {"limit": claim["limit"] + (-9 if claim["sign"] == ">" else 9)}
        changes = [
            {"p": 0.0 if claim["kind"] == "prove" else 1.0},
            {"low": 99.0},
            {"high": -99.0},
            moved,
            {"outcome": "PASS"},
            {"units": 10**6},
        ]
        for change in [*changes, {key: value for claims in changes for key, value in claims.items()}]:
            other = copy.deepcopy(claim)
            for holder in [other, *other["parts"]]:
                holder.update({key: value for key, value in change.items() if key in holder})
            assert outcome_again(other, level=at) != "PASS", (claim["name"], change)
    forged = {
        **judged,
        "decision": "ACCEPT",
        "reasons": [],
        "claims": [{**claims, "outcome": "PASS"} for claims in judged["claims"]],
    }
    assert unproven(own_product, forged, has_champion=True)


def forgeries() -> dict[str, Any]:
    def claims(change: Any) -> Any:
        return lambda verdict: {**verdict, "claims": change(copy.deepcopy(verdict["claims"]))}

    def first(**changes: Any) -> Any:
        return claims(lambda claims: [{**claims[0], **changes}, *claims[1:]])

    return {
        "decision": lambda verdict: {**verdict, "decision": "INCONCLUSIVE"},
        "no decision": lambda verdict: {key: value for key, value in verdict.items() if key != "decision"},
        "other gates": lambda verdict: {**verdict, "gate": "0" * 64},
        "first release": lambda verdict: {**verdict, "is_first": True},
        "is_first is text": lambda verdict: {**verdict, "is_first": ""},
        "level": lambda verdict: {**verdict, "level": 0.05},
        "alpha": lambda verdict: {**verdict, "alpha": 0.5},
        "looks": lambda verdict: {**verdict, "looks": 1},
        "unit": lambda verdict: {**verdict, "unit": "row"},
        "units": lambda verdict: {**verdict, "units": 300},
        "guarantee": lambda verdict: {**verdict, "guarantee": "It is better."},
        "not asked": lambda verdict: {**verdict, "not_asked": ["floor"]},
        "no claims": lambda verdict: {**verdict, "claims": []},
        "claims are none": lambda verdict: {**verdict, "claims": None},
        "claim gone": claims(lambda claims: claims[1:]),
        "claim twice": claims(lambda claims: [*claims, {**claims[0], "outcome": "PASS"}]),
        "claim renamed": first(name="other"),
        "other text": first(text="roc_auc(candidate) > 0.1"),
        "other kind": first(kind="veto"),
        "other limit": first(limit=-0.9),
        "other sign": first(sign="<"),
        "other outcome": first(outcome="FAIL"),
        "missing level": first(missing=["line=C"]),
        "few units": first(units=5),
        "parts gone": claims(lambda claims: [{**claim, "parts": []} for claim in claims]),
        "part undefined": claims(
            lambda claims: [{**c, "parts": [{**p, "note": "undefined"} for p in c["parts"]]} for c in claims]
        ),
    }


@pytest.mark.parametrize("name", forgeries())
def test_a_forged_verdict_lets_nothing_through(own_product: Product, accepted: dict[str, Any], name: str) -> None:
    forged = forgeries()[name](accepted)
    assert unproven(own_product, forged, has_champion=True)
    json.dumps(unproven(own_product, forged, has_champion=True))


def test_better_than_the_anchor_is_believed_only_of_numbers(own_product: Product) -> None:
    judged = recorded(own_product, window(seed=4, champion=1.6))
    rows = arguments(seed=4, champion=1.6)
    rows["scores"]["anchor"] = rows["scores"]["champion"]
    judged = recorded(own_product, panel(**rows))
    assert (judged["decision"], judged["is_better"]) == ("ACCEPT", False)
    assert unproven(own_product, judged, has_champion=True) == []
    assert "better than the anchor" in unproven(own_product, {**judged, "is_better": True}, has_champion=True)[0]


def test_an_empty_verdict_proves_nothing(own_product: Product) -> None:
    assert unproven(own_product, {}, has_champion=True) == ["Object missing required field `decision`"]
    assert len(unproven(own_product, {"decision": "ACCEPT"}, has_champion=True)) >= len(CLAIMS)


def test_a_changed_block_asks_again(tmp_path: Path, accepted: dict[str, Any]) -> None:
    stricter = product(tmp_path, budget={"alpha": 0.01})
    assert level(stricter.gates.budget) < accepted["level"]
    assert unproven(stricter, accepted, has_champion=True)
