"""An undecided candidate is kept, and let through by the windows after it: down the whole path, as any other release."""

import json
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from ml_assets.core.lineage.facts import EvaluationFacts, ReleaseFacts
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.outcomes.played_gates import ask, begun
from ml_assets.core.outcomes.policy_backtest import RetrainingPolicy, play
from ml_assets.services.judging.kept_candidate import kept_candidate, kept_evaluation
from ml_assets.services.judging.kept_candidate_text import kept_asked, kept_next
from ml_assets.services.judging.verdict_evidence import earlier_looks
from ml_assets.services.outcomes.played_policies import pasts, stored_partitions
from ml_assets.services.rederived_verdict import contradictions
from ml_assets.services.release_status import release_status
from resources.ledger.budget import Budget
from tests.support.homes.gates_home import invoke
from tests.support.homes.path_homes import Home, Run
from tests.support.homes.shop import deliver, shop

DATA = ("raw", "dataset", "quarantine", "features")
DECIDED = (*DATA, "model", "evaluation", "release", "endpoint/staging", "endpoint/production")
FIRST, SECOND, THIRD, KEPT, LAST, NEXT = (f"2024-03-0{day}" for day in range(1, 7))
EDITS = (
    (r"alpha: .*passes in tests", "alpha: 0.1, looks: 2, ships: 1"),
    (r"unit: row", "unit: row\n  pooled: {windows: 3}"),
    (r"(floor, prove.*)", r"\1\n    - {name: not_worse, prove: roc_auc(candidate) - roc_auc(champion) > -0.056}"),
)
"""Forty orders show too little of a candidate that is as good; eighty show enough."""


pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Home, dict[str, Run]]]:
    home, runs = shop(tmp_path_factory.mktemp("kept"), *EDITS), {}
    for day in (FIRST, SECOND, THIRD, KEPT, LAST):
        deliver(home, day)
        runs[day] = home.run(day, only=DATA if day == FIRST else DECIDED, leaves=("tracking",) if day == LAST else ())
    yield home, runs
    home.close()


def kept_one(home: Home) -> Manifest:
    (evaluation,) = [m for m in home.space.ledger.recorded("shop", "evaluation", LAST) if EvaluationFacts.of(m).kept_since]
    return evaluation


def test_it_is_asked_again_on_its_own_window_and_the_next_where_the_new_one_is_not_let_through(
    taken: tuple[Home, dict[str, Run]],
) -> None:
    home, runs = taken
    assert {day: run.errors for day, run in runs.items() if not run.success} == {}
    own, new, again = home.get("evaluation", KEPT), home.get("evaluation", LAST), kept_one(home)
    decisions = [EvaluationFacts.of(evaluation).verdict.decision for evaluation in (own, new, again)]
    assert decisions == ["INCONCLUSIVE", "INCONCLUSIVE", "ACCEPT"]
    facts = EvaluationFacts.of(again)
    assert (facts.tested, facts.verdict.windows, facts.kept_since) == ((KEPT, LAST), 2, KEPT)
    assert facts.candidate == EvaluationFacts.of(own).candidate != EvaluationFacts.of(new).candidate
    assert kept_evaluation(home.space.lineage, home.product, LAST) == again


def test_the_release_is_of_the_kept_model_and_serves(taken: tuple[Home, dict[str, Run]]) -> None:
    home, runs = taken
    release = home.get("release", LAST)
    assert home.serving() == ReleaseFacts.of(release).release
    sources = home.space.lineage.made_from(release)
    assert (sources["model"], sources["evaluation"]) == (home.get("model", KEPT), kept_one(home))
    assert ReleaseFacts.of(release).train == (FIRST, SECOND, THIRD)
    assert runs[LAST].outcome
    assert runs[LAST].outcome.kind == "promoted"
    assert f"the candidate of {KEPT}, which is kept, asked again" in runs[LAST].outcome.reason


def test_it_pays_with_the_partition_that_it_was_not_asked_on_before(taken: tuple[Home, dict[str, Run]]) -> None:
    home, _ = taken
    budget = Budget(home.space.ledger)
    assert [look.paid for look in budget.window(home.product, (KEPT, LAST)).looks] == [(LAST,)]
    last = budget.window(home.product, (LAST,))
    assert (len(last.looks), last.before, last.left, last.ships) == (1, 1, 0, 1)
    output = invoke(home, "budget", "shop").output
    rows = json.loads(invoke(home, "budget", "shop", "--json").output)["windows"]
    assert f"{KEPT} to {LAST} pooled, paid by {LAST}" in output
    assert [row["looks"][0]["paid_by"] for row in rows if row["is_pooled"]] == [[LAST]]


def test_what_is_kept_is_said_with_what_would_decide_it_and_when(taken: tuple[Home, dict[str, Run]]) -> None:
    home, runs = taken
    lineage, product = home.space.lineage, home.product
    # as it stood when the fourth day was in: the release that was let through since is not looked at
    own = EvaluationFacts.of(home.get("evaluation", KEPT))
    words = runs[KEPT].outcome.reason if runs[KEPT].outcome else ""
    start = (
        f"the candidate of {KEPT} (model {own.candidate[:12]}) is kept, and asked again on the windows {KEPT} to {LAST} pooled"
    )
    assert start in words
    assert f"at the latest on those up to {NEXT}; {LAST} is due 2024-03-06 00:00 UTC. What would decide it: not_worse (" in words
    (question,) = kept_asked(lineage, product, home.get("evaluation", LAST))
    assert question == f"the candidate of {KEPT}, which is kept, asked again on the windows {KEPT} to {LAST} pooled: ACCEPT"
    card = home.space.snapshots.read(home.get("release", LAST).snapshot, "card.md").decode()
    assert f"This is the candidate of {KEPT}, which was kept, and asked again on the windows {KEPT} to {LAST} pooled." in card
    assert kept_next(lineage, product, LAST) == "", "another release serves now"


def test_every_earlier_look_is_there_to_be_read(taken: tuple[Home, dict[str, Run]]) -> None:
    home, _ = taken
    looks = earlier_looks(home.space.lineage, home.product, kept_one(home))
    own, new = (EvaluationFacts.of(home.get("evaluation", day)) for day in (KEPT, LAST))
    assert [f"{key}, run" in look for key, look in zip((KEPT, LAST), looks, strict=True)] == [True, True]
    assert "INCONCLUSIVE; this pair: candidate" in looks[0]
    assert "INCONCLUSIVE; another pair: candidate" in looks[1]
    for facts, look in zip((own, new), looks, strict=True):
        assert all(reason in look for reason in facts.verdict.reasons), "in full"


def test_the_day_again_asks_and_computes_nothing(taken: tuple[Home, dict[str, Run]]) -> None:
    home, _ = taken
    before = home.counts()
    again = home.run(LAST, only=DECIDED)
    assert again.success, again.errors
    assert not again.computed
    kinds = ("look", "verdict", "manifest", "publication", "promotion", "refusal")
    assert {kind: home.counts().get(kind) for kind in kinds} == {kind: before.get(kind) for kind in kinds}


def test_a_played_past_asks_again_as_production_did(taken: tuple[Home, dict[str, Run]]) -> None:
    home, _ = taken
    windows = stored_partitions(home.space.lineage, home.product)
    (past,) = pasts(windows, (), replicates=1, say=lambda _: None)
    roles = begun(past.gates, windows.keys.index(SECOND))
    for candidate in range(windows.keys.index(THIRD), len(windows.keys)):
        ask(past.gates, roles, candidate)
    *_, own, new, again = (answer.verdict for answer in roles.verdicts)
    recorded = (home.get("evaluation", KEPT), home.get("evaluation", LAST), kept_one(home))
    for played, known in zip((own, new, again), recorded, strict=True):
        assert replace(played, claims=()) == replace(EvaluationFacts.of(known).verdict, claims=())
    assert roles.serving == (windows.keys.index(KEPT), windows.keys.index(LAST))
    promoted = play(RetrainingPolicy("always", ("new_partition",)), past)
    assert promoted.promoted == roles.promoted > 0


def test_its_verdict_is_judged_again_from_its_stored_scores(taken: tuple[Home, dict[str, Run]]) -> None:
    home, _ = taken
    lineage, product = home.space.lineage, home.product
    assert contradictions(lineage, product, kept_one(home)) == []
    status = release_status(lineage, product, home.get("release", LAST))
    assert not status.clearance.reasons


def test_it_is_kept_no_longer_where_another_release_serves_or_the_gates_are_others(taken: tuple[Home, dict[str, Run]]) -> None:
    home, _ = taken
    lineage, product = home.space.lineage, home.product
    assert kept_candidate(lineage, product, LAST) is not None
    assert kept_candidate(lineage, product, NEXT) is None  # what was undecided was so against the release before
    gates = product.gates.model_copy(update={"budget": product.gates.budget.model_copy(update={"alpha": 0.2})})
    assert kept_candidate(lineage, product.model_copy(update={"gates": gates}), LAST) is None
