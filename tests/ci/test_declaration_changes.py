"""What a change of product.yaml means: what asks less is never taken for something else."""

import copy
import math
from collections.abc import Iterator
from functools import cache
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from ml_assets.core.changes.declaration_changes import declaration_changes
from ml_assets.core.changes.rules import CONDITIONS, JUDGED_APART, RULES
from ml_assets.core.gates.claims import judge_claim
from ml_assets.core.gates.panel import Panel
from ml_assets.core.gates.verdict import judge
from ml_assets.spec.gates import ClaimSpec, GateSpec
from ml_assets.spec.monitoring import MonitoringSpec
from ml_assets.spec.product import Product
from ml_assets.spec.sections import CanarySpec, EndpointSpec, StagingSpec
from tests.support import gated

GATES: dict[str, Any] = gated.GATES | {"minimum": {"units": 5, "positives": 20, "negatives": 20}}


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Product:
    gated_product = gated.product(tmp_path_factory.mktemp("gated"), GATES)
    endpoint = EndpointSpec(
        port=8811,
        unknown_categories={"line": "refuse"},
        canary=CanarySpec(unit="day", max_harm=0.1, bound=1.0, share=0.1),
    )
    monitoring = MonitoringSpec(score_psi=0.2, column_psi=0.2, metric="roc_auc", max_drop=0.05, ignore=("line",))
    return gated_product.model_copy(
        update={"endpoint": endpoint, "monitoring": monitoring, "staging": StagingSpec(p99_ratio=1.5)}
    )


def edited(product: Product, path: str, value: Any) -> Product:
    """The product with another value at a dotted key; a claim is named in the place of its number."""
    content = product.model_dump(mode="json")
    *sections, last = path.split(".")
    at: Any = content
    for name in sections:
        at = next(entry for entry in at if entry["name"] == name) if isinstance(at, list) else at[name]
    at[last] = value
    return Product.model_validate(content)


def with_gates(product: Product, gates: dict[str, Any]) -> Product:
    return product.model_copy(update={"gates": GateSpec.model_validate({k: v for k, v in gates.items() if k != "window"})})


@pytest.mark.parametrize(
    ("path", "value", "effects"),
    [
        ("title", "Other words", {"title": "changed"}),
        ("model.depth", 9, {"model.depth": "changed"}),
        ("model.params", {"l2_leaf_reg": 3}, {"model.params.l2_leaf_reg": "changed"}),
        ("window.train", 4, {"window.train": "changed"}),
        ("window.test", 2, {"window.test": "weakened"}),
        ("evaluation.slices", ["line"], {"evaluation.slices": "changed"}),
        ("decision.threshold", 0.4, {"decision.threshold": "weakened"}),
        ("gates.baselines.baseline", {"prior": True}, {"gates.baselines.baseline": "changed"}),
        ("gates.unit", "week", {"gates.unit": "weakened"}),
        ("gates.budget.looks", 50, {"gates.budget.looks": "weakened"}),
        ("gates.budget.alpha", 0.01, {"gates.budget.alpha": "weakened"}),
        ("gates.minimum.units", 2, {"gates.minimum.units": "weakened"}),
        ("gates.minimum.units", 9, {"gates.minimum.units": "weakened"}),
        ("gates.claims.floor.prove", "roc_auc(candidate) > 0.5", {"floor": "weakened"}),
        ("gates.claims.floor.prove", "roc_auc(candidate) > 0.7", {"floor": "strengthened"}),
        ("gates.claims.floor.prove", "roc_auc( candidate )>0.60", {}),
        ("gates.claims.floor.prove", "pr_auc(candidate) > 0.7", {"floor": "weakened"}),
        ("gates.claims.slices.veto", "log_loss(candidate) - log_loss(champion) < 0.5", {"slices": "weakened"}),
        ("gates.claims.slices.for_each", [], {"slices": "weakened"}),
        ("gates.on_inconclusive", "ask", {"gates.on_inconclusive": "weakened"}),
        ("gates.approve", "person", {"gates.approve": "strengthened"}),
        ("gates.first_release.approve", "person", {"gates.first_release.approve": "strengthened"}),
        ("gates.first_release.require", ["floor", "fair"], {"gates.first_release.require": "changed"}),
        ("endpoint.port", 8899, {"endpoint.port": "changed"}),
        ("endpoint.smoke_rows", 1, {"endpoint.smoke_rows": "weakened"}),
        ("endpoint.unknown_fields", "ignore", {"endpoint.unknown_fields": "weakened"}),
        ("endpoint.unknown_categories", {}, {"endpoint.unknown_categories": "weakened"}),
        ("endpoint.unknown_categories", {"line": "score"}, {"endpoint.unknown_categories": "weakened"}),
        ("endpoint.unknown_categories", {"line": "refuse", "stop": "score"}, {"endpoint.unknown_categories": "changed"}),
        ("endpoint.canary", None, {"endpoint.canary": "weakened"}),
        ("endpoint.canary.max_harm", 0.2, {"endpoint.canary.max_harm": "weakened"}),
        ("endpoint.shadow", {"unit": "day", "max_harm": 0.1, "bound": 1.0}, {"endpoint.shadow": "strengthened"}),
        ("staging", None, {"staging": "weakened"}),
        ("staging.p99_ratio", 3.0, {"staging.p99_ratio": "weakened"}),
        ("staging.attempts", 1, {"staging.attempts": "strengthened"}),
        ("monitoring.max_drop", 0.5, {"monitoring.max_drop": "weakened"}),
        ("monitoring.ignore", [], {"monitoring.ignore": "strengthened"}),
        ("monitoring.ignore", ["stop"], {"monitoring.ignore": "weakened"}),
        ("monitoring.value", {"true_positive": 1}, {"monitoring.value": "changed"}),
        ("promote", {"commit": "clean"}, {"promote": "strengthened"}),
        ("rebuild.most", 3, {"rebuild.most": "changed"}),
    ],
)
def test_a_key_that_changes_is_named_with_what_it_does(product: Product, path: str, value: Any, effects: dict[str, str]) -> None:
    changes = declaration_changes(product, edited(product, path, value))
    assert {change.name: change.effect for change in changes} == effects


def test_another_simple_model_may_be_easier_to_beat(product: Product) -> None:
    prior, column = (
        edited(product, "gates.baselines.baseline", baseline) for baseline in ({"prior": True}, {"column": "distance"})
    )
    assert [(c.name, c.effect) for c in declaration_changes(prior, column)] == [("gates.baselines.baseline", "weakened")]
    assert [(c.name, c.effect) for c in declaration_changes(prior, product)] == [("gates.baselines.baseline", "changed")]


def test_another_worth_of_decisions_is_weakened(product: Product) -> None:
    one, other = (edited(product, "monitoring.value", {"true_positive": worth}) for worth in (1, 2))
    assert [(c.name, c.effect) for c in declaration_changes(one, other)] == [("monitoring.value", "weakened")]


def test_to_ask_for_no_clean_commit_any_more_is_weakened(product: Product) -> None:
    asking = edited(product, "promote", {"commit": "clean"})
    assert [(c.name, c.effect) for c in declaration_changes(asking, product)] == [("promote", "weakened")]


def test_what_is_only_written_otherwise_is_no_change(product: Product) -> None:
    gates = copy.deepcopy(GATES)
    gates["claims"].reverse()
    gates["claims"][0] = {
        "name": "stable",
        "veto": "0.5*disagreement(candidate,champion) + 0.5*disagreement(candidate, champion) < 0.6",
    }
    assert declaration_changes(product, with_gates(product, gates)) == []


def test_a_claim_under_another_name_is_no_weaker(product: Product) -> None:
    gates = copy.deepcopy(GATES)
    next(claim for claim in gates["claims"] if claim["name"] == "stable")["name"] = "steady"
    effects = {change.name: change.effect for change in declaration_changes(product, with_gates(product, gates))}
    assert effects == {"stable": "changed", "steady": "strengthened"}


def test_a_claim_that_need_not_be_proven_any_more_is_weakened_and_the_other_way_is_not(product: Product) -> None:
    gates = copy.deepcopy(GATES)
    claim = next(claim for claim in gates["claims"] if claim["name"] == "calibrated")
    claim["veto"] = claim.pop("prove")
    other = with_gates(product, gates)
    assert [(c.name, c.effect) for c in declaration_changes(product, other)] == [("calibrated", "weakened")]
    assert [(c.name, c.effect) for c in declaration_changes(other, product)] == [("calibrated", "strengthened")]


def test_a_first_release_that_has_to_show_less_is_weakened(product: Product) -> None:
    requiring = edited(product, "gates.first_release.require", ["floor", "fair"])
    changes = declaration_changes(requiring, product)
    assert [(c.name, c.effect) for c in changes] == [("gates.first_release.require", "weakened")]
    assert changes[0].reason == "a first release has to show no more: fair"
    by_default = edited(product, "gates.first_release", None)
    assert [(c.name, c.effect) for c in declaration_changes(by_default, product)] == [("gates.first_release.require", "weakened")]


def test_every_key_of_product_yaml_stands_under_exactly_one_rule() -> None:
    for path in keys(Product):
        above = [".".join(path.split(".")[:n]) for n in range(1, path.count(".") + 2)]
        assert len([path for path in above if path in RULES or path in JUDGED_APART]) == 1, path
    known = {".".join(path.split(".")[:n]) for path in keys(Product) for n in range(1, path.count(".") + 2)}
    assert (RULES.keys() | JUDGED_APART | CONDITIONS) - known == set()


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """The dotted keys of a section that hold no section."""
    for name, field in model.model_fields.items():
        kinds = [kind for kind in (field.annotation, *get_args(field.annotation)) if isinstance(kind, type)]
        inner = next((kind for kind in kinds if issubclass(kind, BaseModel)), None)
        yield from keys(inner, f"{prefix}{name}.") if inner else [f"{prefix}{name}"]


# --- the property: where nothing is flagged, whatever the new block accepts, the old one accepts

WINDOWS: list[Panel] = [
    gated.window(rows=rows, units=units, seed=seed, champion=champion)
    for seed, (rows, units) in enumerate([(6000, 30), (3000, 10), (600, 30)])
    for champion in (1.2, 0.4, None)
]
STEPS = (-5, -2.5, -1.5, 0, 1.5, 2.5, 5)
"""How far a limit is from what is measured, in standard errors: where a claim passes and fails."""


@cache
def measured(number: int) -> dict[str, tuple[float, float]]:
    """The estimate and its standard error of each claim in a window; none of claims about a champion that is not there."""
    window = WINDOWS[number]
    claims = [ClaimSpec.model_validate(claim) for claim in GATES["claims"]]
    claims = [claim for claim in claims if claim.form.models <= window.scores.keys()]
    results = [judge_claim(claim, window, level=0.01, minimum=gated.SMALL, expected={}) for claim in claims]
    return {entry.name: (entry.estimate, 0.05 if entry.name == "fair" else entry.standard_error) for entry in results}


def limit(gates: dict[str, Any], claim: dict[str, Any], draw: st.DrawFn) -> None:
    """Another limit."""
    kind = "prove" if "prove" in claim else "veto"
    text, sign = claim[kind].rsplit(maxsplit=2)[0], claim[kind].split()[-2]
    estimate, error = measured(gates["window"]).get(claim["name"], (0.5, 0.1))
    value = estimate + draw(st.sampled_from(STEPS)) * error
    claim[kind] = f"{text} {sign} {value if math.isfinite(value) else 0.5}"


def kind(gates: dict[str, Any], claim: dict[str, Any], draw: st.DrawFn) -> None:
    """Proven, or only not disproven; something has to be proven, and that is the floor."""
    claim = next((entry for entry in gates["claims"] if entry["name"] != "floor"), claim)
    before, after = ("prove", "veto") if "prove" in claim else ("veto", "prove")
    claim[after] = claim.pop(before)


def slices(gates: dict[str, Any], claim: dict[str, Any], draw: st.DrawFn) -> None:
    """In each line, or over all."""
    claim["for_each"] = [] if claim.get("for_each") else ["line"]


def gone(gates: dict[str, Any], claim: dict[str, Any], draw: st.DrawFn) -> None:
    """One claim less, but for the floor."""
    gates["claims"] = [claim_now for claim_now in gates["claims"] if claim_now["name"] in ("floor", claim["name"])]


def minimum(gates: dict[str, Any], claim: dict[str, Any], draw: st.DrawFn) -> None:
    """More or fewer rows, days, or positives."""
    gates["minimum"] = {
        "units": draw(st.sampled_from([5, 20, 40])),
        "positives": draw(st.sampled_from([20, 60, 400])),
        "negatives": 20,
    }


def budget(gates: dict[str, Any], claim: dict[str, Any], draw: st.DrawFn) -> None:
    """Another level."""
    gates["budget"] = {
        "alpha": draw(st.sampled_from([0.001, 0.05, 0.2])),
        "looks": draw(st.sampled_from([1, 5, 100])),
        "ships": 1,
    }


def first(gates: dict[str, Any], claim: dict[str, Any], draw: st.DrawFn) -> None:
    """What a first release has to show."""
    gates["first_release"] = {"require": draw(st.sampled_from([["floor"], ["fair"], ["floor", "fair"]]))}


EDITS = (limit, limit, kind, slices, gone, minimum, budget, first)


@st.composite
def blocks(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """A gates block with a few claims, whose limits are near what is measured in a window, and the same with an edit or two."""
    old = copy.deepcopy(GATES) | {"window": draw(st.integers(0, len(WINDOWS) - 1))}
    kept = {"floor", *draw(st.lists(st.sampled_from([claim["name"] for claim in GATES["claims"]]), max_size=2))}
    old["claims"] = [claim for claim in old["claims"] if claim["name"] in kept]
    minimum(old, {}, draw)
    for claim in old["claims"]:
        limit(old, claim, draw)
    new = copy.deepcopy(old)
    for edit in draw(st.lists(st.sampled_from(EDITS), min_size=1, max_size=2)):
        edit(new, draw(st.sampled_from(new["claims"])), draw)
    return old, new


@pytest.mark.long
def test_where_nothing_is_weakened_whatever_the_new_gates_accept_the_old_ones_accept(product: Product) -> None:
    seen = {"accepted unflagged": 0, "accepted weakened, and not before": 0}

    @settings(max_examples=600)
    @given(blocks())
    def holds(edited: tuple[dict[str, Any], dict[str, Any]]) -> None:
        window = WINDOWS[edited[0]["window"]]
        try:
            before, after = (with_gates(product, gates) for gates in edited)
        except ValidationError:
            return
        if not judge(after, window).is_accept:
            return
        is_weakened = any(change.effect == "weakened" for change in declaration_changes(before, after))
        was_accepted = judge(before, window).is_accept
        assert is_weakened or was_accepted
        seen["accepted unflagged"] += not is_weakened
        seen["accepted weakened, and not before"] += is_weakened and not was_accepted

    holds()
    assert min(seen.values()) >= 10, seen
