"""The gates block: every mistake is refused with its file, its place and what is allowed."""

from pathlib import Path
from typing import Any

import pytest

from ml_assets.gate_spec import BudgetSpec, GateSpec
from ml_assets.product import ProductError
from tests.gated import GATES, product

FLOOR = {"name": "floor", "prove": "roc_auc(candidate) > 0.6"}


def refused(folder: Path, **changes: Any) -> str:
    with pytest.raises(ProductError) as caught:
        product(folder, **changes)
    assert str(folder / "trains" / "product.yaml") in str(caught.value)
    return str(caught.value)


def refused_claim(folder: Path, **given: Any) -> str:
    return refused(folder, claims=[FLOOR, {"name": "other", **given}])


def test_every_kind_of_claim_is_read(tmp_path: Path) -> None:
    gates = product(tmp_path).gates
    assert [claim.kind for claim in gates.claims] == ["prove"] * 4 + ["veto"] * 3
    assert [claim.name for claim in gates.claims_that_apply(has_champion=False)] == ["floor"]
    assert gates.claims_that_apply(has_champion=True) == gates.claims
    assert (gates.metric, gates.slices) == ("roc_auc", ("line",))
    assert [claim.name for claim in gates.claims if claim.is_absolute] == ["floor", "fair"]


def test_what_is_not_said_is_the_strict_thing() -> None:
    gates = GateSpec.model_validate({"unit": "day", "claims": [FLOOR]})
    assert (gates.minimum.units, gates.minimum.positives, gates.minimum.negatives) == (20, 50, 50)
    assert gates.budget == BudgetSpec(alpha=0.05, looks=5, ships=1, feedback="verdict")
    assert (gates.on_inconclusive, gates.approve, gates.first_claims) == ("keep", "automatic", ("floor",))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"units": 3}, ["gates.units", "unit"]),
        ({"minimum": {"units": 1}}, ["gates.minimum.units", "2"]),
        ({"minimum": {"rows": 5}}, ["gates.minimum.rows", "negatives, positives, units"]),
        ({"budget": {"alpha": 0}}, ["gates.budget.alpha"]),
        ({"budget": {"alpha": 0.5}}, ["gates.budget.alpha"]),
        ({"budget": {"looks": 0}}, ["gates.budget.looks"]),
        ({"budget": {"looks": 2, "ships": 3}}, ["gates.budget", "ships 3 is more than looks 2; allowed: 1 to 2"]),
        ({"budget": {"feedback": "numbers"}}, ["gates.budget.feedback", "verdict"]),
        ({"baselines": {"champion": "newest"}}, ["gates.baselines.champion", "serving"]),
        ({"on_inconclusive": "accept"}, ["gates.on_inconclusive", "keep", "ask"]),
        ({"approve": "nobody"}, ["gates.approve", "automatic", "person"]),
        ({"claims": []}, ["gates.claims"]),
        ({"claims": [FLOOR, FLOOR]}, ["gates.claims", "found twice: floor"]),
        ({"claims": [{"name": "a", "veto": "roc_auc(candidate) > 0.6"}], "first_release": None}, ["no claim says prove"]),
        ({"first_release": {"require": ["flor"]}}, ["'flor' is no claim", "floor"]),
        ({"first_release": {"require": ["not_worse"]}}, ["'not_worse' compares with the champion"]),
        ({"first_release": {"require": ["fair"]}}, ["a first release would prove nothing"]),
        ({"first_release": {"require": []}}, ["gates.first_release.require"]),
        ({"four_eyes": True}, ["four_eyes", "approve: person"]),
    ],
)
def test_a_wrong_block_is_refused_where_it_is_wrong(tmp_path: Path, changes: dict[str, Any], words: list[str]) -> None:
    told = refused(tmp_path, **changes)
    assert [word for word in words if word not in told] == [], told


def test_the_unit_has_no_default(tmp_path: Path) -> None:
    with pytest.raises(ProductError, match=r"gates\.unit"):
        product(tmp_path, {name: value for name, value in GATES.items() if name != "unit"})


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, ["exactly one of prove, veto; found none"]),
        ({"prove": "brier(candidate) < 1", "veto": "brier(candidate) < 1"}, ["found prove, veto"]),
        ({"prove": "brier(candidate)"}, ["prove: at position 17 of 'brier(candidate)'", "> or <"]),
        ({"prove": "brier(incumbent) < 1"}, ["allowed: candidate, champion, anchor"]),
        ({"prove": "birer(candidate) < 1"}, ["'birer' is no metric of a binary task", "brier"]),
        ({"prove": "rmse(candidate) < 1"}, ["'rmse' is no metric of a binary task"]),
        ({"require": "p99_ms(candidate) < 50"}, ["gates read no clock", "`staging: {p99_ratio: 1.5, attempts: 3}`"]),
        ({"veto": "p99_ms(candidate) < 50"}, ["gates read no clock", "`staging: {p99_ratio: 1.5, attempts: 3}`"]),
        ({"veto": "2 * ratio(tpr, by: line) > 0.8"}, ["a ratio stands alone"]),
        ({"veto": "ratio(tpr, by: line) < 0.8"}, ["only > says something"]),
        ({"veto": "ratio(pr_auc, by: line) > 0.8"}, ["no ratio of 'pr_auc'", "selection_rate"]),
        ({"veto": "pr_auc(candidate, line=A) - pr_auc(candidate, line=B) > 0"}, ["pr_auc cannot be compared"]),
        ({"veto": "tpr(candidate, line=A) > 0", "for_each": ["line"]}, ["for_each divides the rows already"]),
        ({"prove": "brier(candidate) < 1", "family": "none"}, ["holm"]),
        ({"prove": "brier(candidate) < 1", "name": "gates_passed"}, ["'gates_passed'", "choose another"]),
        ({"prove": "brier(candidate) < 1", "margin": 0.1}, ["margin"]),
        ({"veto": "ratio(selection_rate"}, ["YAML cuts an unquoted text at a comma"]),
    ],
)
def test_a_wrong_claim_is_refused_with_what_is_allowed(tmp_path: Path, given: dict[str, Any], words: list[str]) -> None:
    told = refused_claim(tmp_path, **given)
    assert "gates.claims" in told
    assert [word for word in words if word not in told] == [], told


def test_a_comma_that_yaml_took_away_is_told(tmp_path: Path) -> None:
    made = product(tmp_path)
    file = made.folder / "product.yaml"
    text = file.read_text().replace('"ratio(selection_rate, by: line) > 0.8"', "ratio(selection_rate, by: line) > 0.8")
    file.write_text(text)
    from ml_assets.product import load

    with pytest.raises(ProductError, match=r"product\.yaml"):
        load(made.folder)


def test_decisions_without_a_threshold_are_refused(tmp_path: Path) -> None:
    from ml_assets.product import load

    file = product(tmp_path).folder / "product.yaml"
    file.write_text(file.read_text().replace('"decision": {"threshold": 0.3}', '"evaluation": {}'))
    with pytest.raises(ProductError, match="threshold"):
        load(file.parent)
