"""What a block must not declare, by what its own past showed: said when the product is loaded, and kept by the verdict."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml_assets.core.gate_lab.standards import breaches
from ml_assets.core.gates.panel import panel
from ml_assets.core.gates.verdict import judge
from ml_assets.core.lineage.verdict_facts import ClaimFacts, DesignFacts, VerdictFacts
from ml_assets.spec.gates import GateSpec
from ml_assets.spec.product import Product
from tests.support.gated import GATES, arguments
from tests.support.gated import product as gated

FLOOR = {"name": "floor", "prove": "roc_auc(candidate) > 0.5"}


def block(margin: float, **more: Any) -> GateSpec:
    claim = {"name": "not_worse", "prove": f"roc_auc(candidate) - roc_auc(champion) > -{margin}"}
    return GateSpec.model_validate({"unit": "day", "claims": [claim, FLOOR], **more})


def past(
    *estimates: float, error: float = 0.004, text: str = "roc_auc(candidate) - roc_auc(champion) > -0.03"
) -> list[VerdictFacts]:
    claims = [
        ClaimFacts(
            name="once", kind="prove", text=text, sign=">", limit=-0.03, estimate=estimate, standard_error=error, freedom=20.0,
            skewness=0.0, past_skewness=0.0, units=30,
        )
        for estimate in estimates
    ]  # fmt: skip
    return [VerdictFacts(decision="ACCEPT", unit="day", claims=(claim,)) for claim in claims]


def test_a_margin_that_the_past_can_decide_and_has_seen_the_like_of_is_fine() -> None:
    assert breaches(block(0.02), past(0.01, -0.008, 0.004)) == []


def test_a_margin_that_is_too_narrow_for_the_window_says_how_many_units_would_do() -> None:
    (breach,) = breaches(block(0.005), past(0.01, -0.008, 0.004))
    assert str(breach).startswith("UNDER-POWERED: not_worse lets a candidate through that is no different in ")
    assert "about 1" in breach.sentence
    assert "exceptions: {not_worse: …}" in breach.sentence
    assert not breach.is_refused, "it withholds, and lets nothing through"


def test_a_margin_beyond_what_any_comparison_showed_is_named_with_the_greatest() -> None:
    (breach,) = breaches(block(0.2), past(0.01, -0.008, 0.004))
    assert str(breach).startswith(
        "BEYOND HISTORY: not_worse allows 0.2, and none of 3 recorded comparisons left a difference of more than 0.018 possible"
    )
    assert breach.is_refused


def test_a_margin_that_the_window_can_just_decide_is_not_beyond_a_history_of_models_that_are_alike() -> None:
    """Estimates may be small by chance: what counts is what they left possible."""
    assert breaches(block(0.014), past(0.0005, -0.0004, 0.0002)) == []


def test_nothing_is_said_without_a_history_of_the_same_difference_by_the_same_unit() -> None:
    others = past(0.01, -0.008, 0.004, text="brier(candidate) - brier(champion) < 0.01")
    assert breaches(block(0.005), past(0.01, -0.008)) == []
    assert breaches(block(0.005), others) == []
    assert breaches(block(0.005, unit="week"), past(0.01, -0.008, 0.004)) == []


def test_an_exception_excuses_by_name_and_has_to_say_why() -> None:
    assert breaches(block(0.005, exceptions={"not_worse": "a pilot that is watched daily"}), past(0.01, -0.008, 0.004)) == []
    with pytest.raises(ValueError, match="'not_wors' is neither `unit` nor a claim"):
        block(0.005, exceptions={"not_wors": "a pilot that is watched daily"})
    with pytest.raises(ValueError, match="at least 10 characters"):
        block(0.005, exceptions={"not_worse": "no"})


def by_row(folder: Path, **more: Any) -> Product:
    claims = [claim for claim in GATES["claims"] if claim["name"] in ("not_worse", "floor", "not_worse_anchor")]
    return gated(folder, GATES | {"unit": "row", "claims": claims, **more})


def verdict_by_row(product: Product, *, days: int = 30) -> Any:
    given = arguments(units=days)
    day = np.asarray(given["unit"])
    # a day moves all scores of one model: half of the days it is at its best, on the others it knows nothing
    shaken = np.random.default_rng(5).permutation(given["scores"]["candidate"])
    given["scores"]["candidate"] = np.where(day % 2 == 0, given["scores"]["candidate"], shaken)
    return judge(product, panel(**given | {"unit": np.arange(day.size)}), coarser={"day": day})


def test_rows_that_are_alike_by_day_prove_nothing_as_units_and_the_unit_is_named(tmp_path: Path) -> None:
    verdict = verdict_by_row(by_row(tmp_path / "plain", claims=[FLOOR], first_release=None))
    assert verdict.decision == "INCONCLUSIVE"
    assert "so with `unit: row` bounds are too narrow; declare `unit: day`" in verdict.reasons[0]
    excused = verdict_by_row(
        by_row(tmp_path / "excused", claims=[FLOOR], first_release=None, exceptions={"unit": "each row is a customer"})
    )
    assert (excused.decision, excused.design) == ("ACCEPT", verdict.design)


def test_independent_rows_are_units(tmp_path: Path) -> None:
    given = arguments()
    random = np.random.default_rng(1)
    day = random.permutation(np.asarray(given["unit"]))
    verdict = judge(by_row(tmp_path), panel(**given | {"unit": np.arange(day.size)}), coarser={"day": day})
    assert verdict.design is not None
    assert verdict.design.low < 1.5
    assert not any("alike" in reason for reason in verdict.reasons)


def test_the_load_says_so_of_recorded_rows(tmp_path: Path) -> None:
    design = DesignFacts(unit="day", claim="floor", effect=4.0, low=2.5)
    recorded = [VerdictFacts(decision="INCONCLUSIVE", unit="row", design=design)]
    (breach,) = breaches(by_row(tmp_path / "one").gates, recorded)
    assert str(breach).startswith("WRONG UNIT: rows of one day are alike: by day the variance of floor is 4.0 times")
    assert breach.is_refused
    assert breaches(by_row(tmp_path / "two", unit="day").gates, recorded) == []
