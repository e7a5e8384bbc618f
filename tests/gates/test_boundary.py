"""`ml-assets gates verify`, and the resampling behind it."""

import json

import numpy as np
import pytest
from click.testing import CliRunner, Result

from benchmarks.simulations.gate_policies import binary_days
from ml_assets.cli import cli
from ml_assets.cli.gates import COMMANDS
from ml_assets.core.gate_lab.boundary import at_boundary, at_truth, design_effects, provable, resampled, wrong_units
from ml_assets.core.gate_lab.resampling import clopper_pearson
from ml_assets.spec.gates import GateSpec
from tests.support.gated import GATES, claim, window
from tests.support.homes.flights_months import copy, months  # noqa: F401
from tests.support.homes.path_homes import Home


def called(home: Home, *arguments: str) -> Result:
    home.space.ledger.close()
    folders = {"ML_ASSETS_HOME": str(home.folder), "ML_ASSETS_PRODUCTS": str(home.declared.parent)}
    return CliRunner().invoke(cli, ["gates", "verify", "flights", "--samples", "60", *arguments], env=folders)


def test_an_evaluation_is_judged_again_at_its_boundary(copy: Home) -> None:  # noqa: F811
    outcome = called(copy, "--json")
    assert outcome.exit_code == 0, outcome.output
    payload = json.loads(outcome.stdout)
    assert payload["is_kept"]
    assert (payload["unit"], payload["samples"]) == ("day", 60)
    assert {"not_worse", "floor"} <= {claim["claim"] for claim in payload["claims"]}
    assert {"row", "hour", "day", "week", "carrier", "origin"} == {claim["unit"] for claim in payload["design_effects"]}
    assert [claim["effect"] for claim in payload["design_effects"] if claim["unit"] == "row"] == pytest.approx(
        [1.0] * len(payload["claims"])
    )
    again = called(copy, "--partition", payload["partition"])
    assert (again.exit_code, "LET THROUGH" in again.stdout, "Variance by unit" in again.stdout) == (0, True, True)


def test_rows_that_are_called_independent_and_are_not_are_an_error(copy: Home) -> None:  # noqa: F811
    copy.edit("product.yaml", (r"unit: day", "unit: row"))
    outcome = called(copy)
    assert outcome.exit_code == 1
    assert "WRONG UNIT: rows are not independent" in outcome.stdout


def test_a_partition_without_an_evaluation_is_told(copy: Home) -> None:  # noqa: F811
    assert called(copy, "--partition", "2013-11").exit_code == 1


def test_the_group_lists_its_commands() -> None:
    output = CliRunner().invoke(cli, ["gates", "--help"]).stdout
    assert [name for name in COMMANDS if name not in output] == []


def test_a_claim_is_put_where_it_just_fails_to_hold() -> None:
    rows = window()
    for text in ("roc_auc(candidate) - 2 * roc_auc(champion) > -0.1", "-brier(candidate) + 0.5 < 0.4"):
        moved = at_truth(claim(text), rows)
        assert [term for _, term in moved.form.terms] == [term for _, term in claim(text).form.terms]
        assert moved.form.constant == rows.measured(moved.form.terms).value


def test_claims_that_are_proven_on_all_rows_have_a_boundary() -> None:
    gates = GateSpec.model_validate(GATES)
    assert [claim.name for claim in provable(gates.claims, window())] == ["not_worse", "not_worse_anchor", "floor", "calibrated"]
    assert [claim.name for claim in provable(gates.claims, window(champion=None))] == ["floor"]


def test_whole_units_are_drawn_and_one_drawn_twice_is_two() -> None:
    rows = window()
    for sample in resampled(rows, units=25, samples=5, seed=1):
        assert (sample.units.count, sample.rows) == (25, 25 * 200)
        days = {rows.y[rows.codes == day].sum() for day in range(30)}
        assert {sample.y[sample.codes == unit].sum() for unit in range(25)} <= days


def test_the_same_seed_gives_the_same_counts() -> None:
    one, other = (
        at_boundary(window(), [claim("roc_auc(candidate) > 0")], level=0.05, units=30, samples=60, seed=3) for _ in "ab"
    )
    assert one == other


def test_independent_rows_have_a_design_effect_of_one_and_shared_days_a_large_one() -> None:
    text = [claim("brier(candidate) - brier(champion) < 0.02")]
    random = np.random.default_rng(0)
    rows = binary_days(seed=3, days=60, rows=100)
    effects = {"day": rows.codes, "shuffled": random.permutation(rows.codes)}
    by_unit = {claim.unit: claim for claim in design_effects(rows, text, effects)}
    assert by_unit["day"].is_large
    assert not by_unit["shuffled"].is_large
    assert [claim.unit for claim in wrong_units(list(by_unit.values()), unit="row")] == ["day"]
    assert wrong_units(list(by_unit.values()), unit="day") == []


def test_a_unit_that_is_smaller_than_what_varies_together_is_told() -> None:
    """Days in the place of hours: what is shared by a day outlasts each of its hours."""
    text = [claim("brier(candidate) - brier(champion) < 0.02")]
    rows = binary_days(seed=3, days=60, rows=96)
    hours = np.arange(rows.rows) // 4
    effects = design_effects(rows, text, {"hour": hours, "day": rows.codes, "week": rows.codes // 7})
    assert [claim.unit for claim in wrong_units(effects, unit="hour")][:1] == ["day"]
    assert wrong_units(effects, unit="day") == []


@pytest.mark.parametrize(
    ("count", "of", "low", "high"), [(0, 100, 0.0, 0.0516), (5, 100, 0.0110, 0.1350), (100, 100, 0.9484, 1.0)]
)
def test_the_interval_of_a_share_is_the_one_of_clopper_and_pearson(count: int, of: int, low: float, high: float) -> None:
    assert clopper_pearson(count, of, confidence=0.99) == pytest.approx((low, high), abs=2e-4)
