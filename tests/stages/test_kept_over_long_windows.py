"""Windows of two days, which overlap, pooled for a candidate that is kept: what pays, and when the next one opens."""

from collections.abc import Iterator

import pytest

from ml_assets.core.lineage.facts import EvaluationFacts
from ml_assets.services.judging.kept_candidate_text import kept_asked, kept_next
from ml_assets.services.next_window import next_partition
from ml_assets.services.rederived_verdict import contradictions
from resources.ledger.budget import Budget
from tests.support.homes.path_homes import Home, Run
from tests.support.homes.shop import deliver, shop

DATA = ("raw", "dataset", "quarantine", "features")
DECIDED = (*DATA, "model", "evaluation", "release")
DAYS = tuple(f"2024-03-0{day}" for day in range(1, 7))
EDITS = (
    (r"window: .*", "window: {train: 3, test: 2, minimum: 1}"),
    (r"alpha: .*passes in tests", "alpha: 0.1, looks: 3, ships: 1"),
    (r"unit: row", "unit: row\n  pooled: {windows: 3}"),
    (r"(floor, prove.*)", r"\1\n    - {name: not_worse, prove: roc_auc(candidate) - roc_auc(champion) > -0.001}"),
)
"""A margin that no window of this shop decides."""

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Home, dict[str, Run]]]:
    home, runs = shop(tmp_path_factory.mktemp("long_windows"), *EDITS), {}
    for day in DAYS:
        deliver(home, day)
        runs[day] = home.run(day, only=DATA if day < DAYS[2] else DECIDED)
        if day == DAYS[2]:
            home.serve(day)
            assert next_partition(home.space.ledger, home.product) == DAYS[4], "the third day's rows let a release through"
    yield home, runs
    home.close()


def test_a_promotion_uses_up_every_window_that_holds_its_rows(taken: tuple[Home, dict[str, Run]]) -> None:
    home, runs = taken
    assert {day: run.errors for day, run in runs.items() if not run.success} == {}
    assert EvaluationFacts.of(home.get("evaluation", DAYS[2])).verdict.decision == "ACCEPT"
    assert f"the test window {DAYS[2]} to {DAYS[3]} is retired" in runs[DAYS[3]].descriptions["window_open"]
    assert f"the next window opens with {DAYS[4]}" in runs[DAYS[3]].descriptions["window_open"]


def test_the_kept_candidate_is_asked_on_its_window_and_what_came_after_and_pays_with_that(
    taken: tuple[Home, dict[str, Run]],
) -> None:
    home, _ = taken
    lineage, product = home.space.lineage, home.product
    last = home.get("evaluation", DAYS[5])
    (question,) = kept_asked(lineage, product, last)
    assert question.startswith(
        f"the candidate of {DAYS[4]}, which is kept, asked again on the windows {DAYS[3]} to {DAYS[5]} pooled: INC"
    )
    (again,) = [m for m in home.space.ledger.recorded("shop", "evaluation", DAYS[5]) if EvaluationFacts.of(m).kept_since]
    facts = EvaluationFacts.of(again)
    assert (facts.tested, facts.verdict.windows) == (DAYS[3:6], 2)
    budget = Budget(home.space.ledger)
    assert [look.paid for look in budget.window(product, DAYS[3:6]).looks] == [(DAYS[5],)]
    assert [budget.window(product, DAYS[at : at + 2]).left for at in (3, 4)] == [1, 1], "the fifth day is in both"
    assert contradictions(lineage, product, again) == []
    assert f"is kept, and asked again on the windows {DAYS[3]} to 2024-03-07 pooled" in kept_next(lineage, product)
