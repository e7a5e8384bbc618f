"""The gates block: every mistake is refused with its file, its place and what is allowed."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ml_assets.spec.gates import BudgetSpec, GateSpec
from ml_assets.spec.product import ProductError, load
from tests.support import trains
from tests.support.gated import GATES, product

MOVED = "`staging: {p99_ratio: 1.5, attempts: 3}`"
FLOOR = {"name": "floor", "prove": "roc_auc(candidate) > 0.6"}
BEATS = {"name": "beats", "prove": "roc_auc(candidate) - roc_auc(baseline) > 0"}


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


def test_a_claim_about_a_simple_model_holds_a_first_release(tmp_path: Path) -> None:
    gates = product(tmp_path, claims=[FLOOR, BEATS], first_release=None, baselines={"baseline": {"prior": True}}).gates
    assert gates.first_claims == ("floor", "beats")


def test_a_block_without_a_simple_model_is_what_it_was_before_there_were_any(tmp_path: Path) -> None:
    block = product(tmp_path).section("gates")["gates"]
    assert block["baselines"] == {"champion": "serving", "anchor": "last_proven"}


def test_a_great_alpha_is_a_named_exception(tmp_path: Path) -> None:
    named = product(tmp_path, budget={"alpha": 0.25, "exception": "nothing depends on it"})
    assert named.gates.budget.alpha == 0.25
    assert "exception" not in product(tmp_path / "usual").section("gates")["gates"]["budget"]


def test_what_is_not_said_is_the_strict_thing() -> None:
    gates = GateSpec.model_validate({"unit": "day", "claims": [FLOOR]})
    assert (gates.minimum.units, gates.minimum.positives, gates.minimum.negatives) == (20, 50, 50)
    assert gates.budget == BudgetSpec(alpha=0.05, looks=2, ships=1, feedback="verdict")
    assert (gates.on_inconclusive, gates.approve, gates.first_claims) == ("keep", "automatic", ("floor",))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"units": 3}, ["gates.units", "unit"]),
        ({"minimum": {"units": 1}}, ["gates.minimum.units", "2"]),
        ({"minimum": {"rows": 5}}, ["gates.minimum.rows", "negatives, per_class, positives, units"]),
        ({"budget": {"alpha": 0}}, ["gates.budget.alpha"]),
        ({"budget": {"alpha": 0.5}}, ["gates.budget.alpha"]),
        (
            {"budget": {"alpha": 0.25}},
            ["gates.budget: alpha 0.25 lets through one wrong candidate in 4; at most 0.2, or say why:"],
        ),
        ({"budget": {"alpha": 0.25, "exception": "so"}}, ["gates.budget.exception"]),
        ({"budget": {"looks": 0}}, ["gates.budget.looks"]),
        ({"budget": {"looks": 2, "ships": 3}}, ["gates.budget", "ships 3 is more than looks 2; allowed: 1 to 2"]),
        ({"budget": {"feedback": "numbers"}}, ["gates.budget.feedback", "verdict"]),
        ({"baselines": {"champion": "newest"}}, ["gates.baselines.champion", "serving"]),
        ({"baselines": {"baseline": {}}}, ["exactly one of prior, column, last_value, linear; found none"]),
        ({"baselines": {"baseline": {"prior": True, "column": "distance"}}}, ["found prior, column"]),
        ({"baselines": {"baseline": {"prior": False}}}, ["gates.baselines.baseline.prior"]),
        ({"baselines": {"baseline": {"linear": []}}}, ["gates.baselines.baseline.linear"]),
        ({"claims": [FLOOR, BEATS], "first_release": None}, ["claim 'beats' needs a simple model", "baselines: {baseline:"]),
        ({"on_inconclusive": "accept"}, ["gates.on_inconclusive", "keep", "ask"]),
        ({"approve": "nobody"}, ["gates.approve", "automatic", "person"]),
        ({"claims": []}, ["gates.claims"]),
        ({"claims": [FLOOR, FLOOR]}, ["gates.claims", "found twice: floor"]),
        ({"claims": [{"name": "a", "veto": "roc_auc(candidate) > 0.6"}], "first_release": None}, ["no claim says prove"]),
        ({"first_release": {"require": ["flor", "fair"]}}, ["gates.first_release", "'flor' is not a claim", "floor"]),
        ({"first_release": {"require": ["not_worse"]}}, ["'not_worse' compares with the champion"]),
        ({"first_release": {"require": ["fair"]}}, ["a first release would prove nothing"]),
        ({"first_release": {"require": []}}, ["gates.first_release.require"]),
        ({"four_eyes": True}, ["four_eyes", "approve: person"]),
    ],
)
def test_a_wrong_block_is_refused_where_it_is_wrong(tmp_path: Path, changes: dict[str, Any], words: list[str]) -> None:
    message = refused(tmp_path, **changes)
    assert [word for word in words if word not in message] == [], message


def test_the_unit_has_no_default(tmp_path: Path) -> None:
    with pytest.raises(ProductError, match=r"gates\.unit"):
        product(tmp_path, {name: value for name, value in GATES.items() if name != "unit"})


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, ["exactly one of prove, veto; found none"]),
        ({"prove": "brier(candidate) < 1", "veto": "brier(candidate) < 1"}, ["found prove, veto"]),
        ({"prove": "brier(candidate)"}, ["prove: at position 17 of 'brier(candidate)'", "> or <"]),
        ({"prove": "brier(incumbent) < 1"}, ["allowed: candidate, champion, anchor, baseline"]),
        ({"prove": "birer(candidate) < 1"}, ["'birer' is not a metric of a binary task", "brier"]),
        ({"prove": "rmse(candidate) < 1"}, ["'rmse' is not a metric of a binary task"]),
        ({"prove": "true_positive_rate(candidate) > 0.3"}, ["'true_positive_rate' is called `tpr` here"]),
        ({"require": "brier(candidate) < 1"}, ["gates.claims[1].require", MOVED]),
        ({"veto": "p99_ms(candidate) < 50"}, ["veto: gates read no clock", MOVED]),
        ({"prove": "p99_ms(candidate) - p99_ms(champion) < 5"}, [MOVED]),
        ({"veto": "2 * ratio(tpr, by: line) > 0.8"}, ["a ratio cannot be combined"]),
        ({"veto": "ratio(tpr, by: line) < 0.8"}, ["only > says something"]),
        ({"veto": "ratio(pr_auc, by: line) > 0.8"}, ["no ratio of 'pr_auc'", "selection_rate"]),
        (
            {"veto": "calibration_error(candidate) - calibration_error(champion) < 0.01"},
            ["a difference of calibration_error keeps no level", "calibration_loss(candidate) - calibration_loss(champion)"],
        ),
        ({"veto": "tpr(candidate, line=A) > 0", "for_each": ["line"]}, ["for_each divides the rows already"]),
        ({"prove": "roc_auc(candidate) - roc_auc(candidate) > -0.1"}, ["it cannot fail", "0 to 0", "always > -0.1"]),
        ({"veto": "disagreement(candidate, champion) < 1.2"}, ["it cannot fail", "0 to 1", "always < 1.2"]),
        ({"prove": "tpr(candidate) - tpr(champion) > -1.5"}, ["it cannot fail", "-1 to 1"]),
        ({"prove": "log_loss(candidate) > -1"}, ["it cannot fail", "0 to inf"]),
        ({"prove": "brier(candidate) < 1", "family": "none"}, ["holm"]),
        ({"prove": "brier(candidate) < 1", "name": "gates_passed"}, ["'gates_passed'", "choose another"]),
        ({"prove": "brier(candidate) < 1", "name": "window_open"}, ["'window_open'", "choose another"]),
        ({"prove": "brier(candidate) < 1", "margin": 0.1}, ["margin"]),
        ({"veto": "ratio(selection_rate"}, ["YAML cuts an unquoted text at a comma"]),
    ],
)
def test_a_wrong_claim_is_refused_with_what_is_allowed(tmp_path: Path, given: dict[str, Any], words: list[str]) -> None:
    message = refused_claim(tmp_path, **given)
    assert "gates.claims" in message
    assert [word for word in words if word not in message] == [], message


def test_a_comma_that_yaml_took_away_is_told(tmp_path: Path) -> None:
    own_product = product(tmp_path)
    file = own_product.folder / "product.yaml"
    text = file.read_text().replace('"ratio(selection_rate, by: line) > 0.8"', "ratio(selection_rate, by: line) > 0.8")
    file.write_text(text)
    with pytest.raises(ProductError, match=r"product\.yaml"):
        load(own_product.folder)


def test_decisions_without_a_threshold_are_refused(tmp_path: Path) -> None:
    file = product(tmp_path).folder / "product.yaml"
    file.write_text(file.read_text().replace('"decision": {"threshold": 0.3}', '"evaluation": {}'))
    with pytest.raises(ProductError, match="threshold"):
        load(file.parent)


BEFORE = """
  claims:
    - {name: not_worse, prove: roc_auc(candidate) - roc_auc(champion) > -0.005}
    - {name: floor, prove: roc_auc(candidate) > 0.6}
    - name: fast
      require: p99_ms(candidate) < 50
  first_release: {require: [floor, fast]}
"""
"""Claims as they were written while a verdict could read a clock."""


def with_claims(folder: Path, claims: str) -> Path:
    """The trains with these claims in the place of their own."""
    folder_ = folder / "trains"
    folder_.mkdir()
    written = re.sub(r"^gates: .*$", lambda _: f"gates:\n  unit: day{claims.rstrip()}", trains.SPEC, flags=re.MULTILINE)
    (folder_ / "product.yaml").write_text(written, encoding="utf-8")
    (folder_ / "contract.py").write_text(trains.CONTRACT, encoding="utf-8")
    return folder_


def test_latency_among_the_gates_is_refused_by_line_with_the_new_one(tmp_path: Path) -> None:
    folder = with_claims(tmp_path, BEFORE)
    lines = (folder / "product.yaml").read_text().splitlines()
    claim, first = (1 + next(n for n, line in enumerate(lines) if word in line) for word in ("p99_ms", "first_release"))
    with pytest.raises(ProductError) as caught:
        load(folder)
    message = str(caught.value).splitlines()
    assert message[0].startswith(f"{folder / 'product.yaml'}:{claim}: gates.claims[2].require: gates read no clock; ")
    assert message[1].startswith(f"{folder / 'product.yaml'}:{first}: gates.first_release: require: 'fast' is not a claim: ")
    assert len(message) == 2
    assert all(MOVED in line for line in message)


def test_a_first_release_that_still_asks_for_fast_is_refused_with_the_new_line(tmp_path: Path) -> None:
    without = BEFORE.replace("    - name: fast\n      require: p99_ms(candidate) < 50\n", "")
    with pytest.raises(ProductError, match=r"gates\.first_release: require: 'fast' is not a claim") as caught:
        load(with_claims(tmp_path, without))
    assert MOVED in str(caught.value)


def test_the_line_that_is_told_can_be_written(tmp_path: Path) -> None:
    folder = product(tmp_path).folder
    assert load(folder).staging is None
    spec = json.loads((folder / "product.yaml").read_text())
    (folder / "product.yaml").write_text(json.dumps(spec | yaml.safe_load(MOVED.strip("`"))))
    staging = load(folder).staging
    assert staging
    assert (staging.p99_ratio, staging.attempts) == (1.5, 3)


@pytest.mark.parametrize(
    ("staging", "words"),
    [
        ({"p99_ratio": 1}, ["staging.p99_ratio", "greater than 1"]),
        ({"p99_ratio": 1.5, "attempts": 0}, ["staging.attempts", "1"]),
        ({"p99_ratio": 1.5, "attempts": 11}, ["staging.attempts", "10"]),
        ({"attempts": 3}, ["staging.p99_ratio: the key is missing; its section takes: attempts, p99_ratio"]),
        ({"p99_ms": 50}, ["staging.p99_ms: unknown key", "attempts, p99_ratio"]),
    ],
)
def test_a_wrong_staging_section_is_refused(tmp_path: Path, staging: dict[str, Any], words: list[str]) -> None:
    folder = product(tmp_path).folder
    spec = json.loads((folder / "product.yaml").read_text())
    (folder / "product.yaml").write_text(json.dumps(spec | {"staging": staging}))
    with pytest.raises(ProductError) as caught:
        load(folder)
    assert [word for word in words if word not in str(caught.value)] == [], str(caught.value)
