"""Drafted claims at the threshold: proven where the history can prove them, vetoes where it only sees large losses, else none."""

from typing import Any

import numpy as np

from ml_assets.core.draft.threshold_guards import threshold_guards
from ml_assets.core.gates.claims import judge_claim
from ml_assets.core.gates.levels import level
from ml_assets.core.gates.panel import Panel, panel
from ml_assets.spec.gates import BudgetSpec, ClaimSpec
from tests.support.gated import SMALL, arguments


def windows(rows: int, units: int, **more: Any) -> list[Panel]:
    """Two windows in which candidate and champion are as good, and differ a little by row."""
    panels = []
    for seed in (1, 2):
        given = arguments(rows=rows, units=units, seed=seed)
        champion = given["scores"]["champion"]
        random = np.random.default_rng(seed)
        odds = np.log(champion / (1 - champion)) + random.normal(0, 0.3, champion.size)
        given["scores"] = {"champion": champion, "candidate": 1 / (1 + np.exp(-odds))}
        panels.append(panel(**given | more))
    return panels


def test_with_much_data_both_rates_are_to_be_proven_at_margins_that_it_can_decide() -> None:
    claims, notes = threshold_guards(windows(10_000, 40), SMALL)
    assert [(claim.name, claim.kind) for claim in claims] == [("catches_as_many", "prove"), ("no_more_false_alarms", "prove")]
    assert not notes
    fresh = windows(10_000, 40)[1]
    for drafted in claims:
        claim = ClaimSpec(name=drafted.name, prove=drafted.text)
        assert judge_claim(claim, fresh, level=level(BudgetSpec()), minimum=SMALL, expected={}).outcome == "PASS"


def test_with_less_data_large_losses_are_vetoed_and_with_hardly_any_a_note_says_that_there_is_no_guard() -> None:
    some, _ = threshold_guards(windows(300, 15), SMALL)
    assert {claim.kind for claim in some if claim.name == "catches_as_many"} == {"veto"}
    assert "too little data to prove it, but a loss of 0.12 would be seen 4 times out of 5" in some[0].why
    none, notes = threshold_guards(windows(60, 6), SMALL)
    assert [claim.name for claim in none if claim.name == "catches_as_many"] == []
    assert "a window of this history would not show a loss of 0.2; longer windows" in notes[0]


def test_where_nothing_is_decided_positive_there_is_nothing_to_guard() -> None:
    claims, notes = threshold_guards(windows(6000, 30, threshold=1.0), SMALL)
    assert (claims, len(notes)) == ([], 2)
    assert threshold_guards([], SMALL) == ([], [])
