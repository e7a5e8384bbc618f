"""What a promotion promised, asked again: bounds that hold at every look, and how a probation ends."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ml_assets.core.gates.panel import panel
from ml_assets.core.lineage.verdict_facts import ClaimFacts, PartFacts, VerdictFacts
from ml_assets.core.outcomes.mean_sequence import SequenceRefused, Sums, interval
from ml_assets.core.outcomes.played_gates import GateQuestion, PlayedGates
from ml_assets.core.outcomes.policy_backtest import NO_ONE, PolicyRefused, ReplayedPast, RetrainingPolicy, at_random, play
from ml_assets.core.outcomes.promise import kept, promises
from ml_assets.services.outcomes.policy_files import policies_of
from ml_assets.spec.product import ProductError
from tests.support.homes.apart import apart

BETTER = ClaimFacts(name="better", kind="prove", text="roc_auc(candidate) - roc_auc(champion) > 0", estimate=0.05, units=30)
TOO_GOOD = VerdictFacts(decision="ACCEPT", too_good="too good to be true")


def sums(values: np.ndarray) -> Sums:
    return Sums(values.size, float(values.sum()), float((values**2).sum()))


def test_the_bounds_miss_the_mean_at_any_of_fifty_looks_at_most_as_often_as_stated() -> None:
    random, missed = np.random.default_rng(3), 0
    for _ in range(400):
        values, seen = random.exponential(1.0, 1_500), Sums()
        for look in values.reshape(50, 30):
            seen = seen.plus(sums(look))
            low, high = interval(seen, alpha=0.05, expected=60)
            if not low < 1.0 < high:
                missed += 1
                break
    assert missed <= 0.05 * 400 + 3 * (0.05 * 0.95 * 400) ** 0.5
    low, high = interval(sums(values), alpha=0.05, expected=60)
    assert high - low < 0.3, "and they do close in"


def test_nothing_is_bounded_by_one_unit_or_at_no_level() -> None:
    assert interval(Sums(1, 3.0, 9.0), alpha=0.05, expected=10) == (-np.inf, np.inf)
    with pytest.raises(SequenceRefused, match="alpha 0"):
        interval(Sums(9, 3.0, 9.0), alpha=0.0, expected=10)


def test_a_promise_is_a_proven_claim_against_the_champion_on_all_rows() -> None:
    others = [
        ClaimFacts(name="floor", kind="prove", text="roc_auc(candidate) > 0.6"),
        ClaimFacts(name="veto", kind="veto", text="brier(candidate) - brier(champion) < 0.01"),
        ClaimFacts(name="anchor", kind="prove", text="roc_auc(candidate) - roc_auc(anchor) > 0"),
        ClaimFacts(name="slices", kind="prove", text=BETTER.text, parts=(PartFacts(where="a"),)),
    ]
    assert [claim.name for claim, _ in promises([*others, BETTER])] == ["better"]


def test_the_units_effects_have_the_effect_as_their_mean_and_its_clustered_error() -> None:
    random = np.random.default_rng(0)
    y, unit = (random.random(3_000) < 0.3).astype(float), np.repeat(np.arange(30), 100)
    good, bad = np.clip(0.3 * y + random.random(3_000) * 0.7, 0, 1), random.random(3_000)
    rows = panel(task="binary", y=pl.Series(y), scores={"candidate": good, "champion": bad}, unit=pl.Series(unit), columns={})
    (promise,) = kept([BETTER], rows)
    recorded_sums = Sums(promise["units"], promise["total"], promise["squares"])
    (_, form), *_ = promises([BETTER])
    measured = rows.measured(form.terms)
    assert recorded_sums.mean == pytest.approx(measured.value)
    assert recorded_sums.variance / recorded_sums.units == pytest.approx((measured.parts**2).sum() * 30 / 29)
    assert (promise["promised"], promise["tested_units"], promise["limit"]) == (0.05, 30, 0.0)


def test_a_promise_that_is_not_defined_on_the_rows_says_so() -> None:
    rows = panel(task="binary", y=[1.0, 1.0], scores={"candidate": [0.1, 0.2], "champion": [0.1, 0.3]}, unit=[0, 1], columns={})
    (promise,) = kept([BETTER], rows)
    assert "only positives" in promise["note"]
    assert "units" not in promise


def test_probation_needs_outcomes_that_are_followed(tmp_path: Path) -> None:
    with pytest.raises(ProductError, match="declare `labels: "):
        _ = apart(tmp_path, labels="probation: {after: 1}\nwindow: {train").product


def judge(question: GateQuestion) -> VerdictFacts:
    """Gates that know the models of `past`: the third and later ones are better than those before."""
    is_better = question.champion is not None and question.candidate >= 3 > question.champion.model
    return VerdictFacts(decision="ACCEPT" if is_better else "INCONCLUSIVE", is_better=is_better)


def past(*, late: int = 0, test: int = 1) -> ReplayedPast:
    """Six partitions of two days; the model as of the third is much better than the ones before it. Outcomes are complete `late`
    partitions later."""
    advantage = np.tile(np.array([0.6, 0.6, 0.6, 0.8, 0.8, 0.8])[:, None], (1, 6))
    advantage[:3, 3:] = 0.4
    return ReplayedPast(
        [*"abcdef"],
        advantage[None],
        promised=advantage.diagonal()[None],
        worth=advantage[None] * 10,
        seconds=np.ones(6),
        is_trained=np.ones(6, dtype=bool),
        alarms=np.array([0, 0, 0, 1, 1, 0], dtype=bool),
        days=np.full(6, 2.0),
        complete=np.maximum(np.arange(6) - late, NO_ONE),
        gates=PlayedGates(judge, test),
    )


def test_a_policy_serves_what_the_gates_let_through_from_the_next_partition_on() -> None:
    never, always = (
        play(RetrainingPolicy("never", ("never",)), past()),
        play(RetrainingPolicy("always", ("new_partition",)), past()),
    )
    assert (never.trainings, never.later, never.worse) == (0, pytest.approx((0.6 * 2 + 0.4 * 3) / 5), 4.0)
    assert (always.trainings, always.promoted) == (5, 1), "the gates let one of five through"
    assert (always.later, always.worse) == (pytest.approx((0.6 * 2 + 0.4 + 0.8 * 2) / 5), 0.0)
    refused = play(
        RetrainingPolicy("always", ("new_partition",)),
        replace(past(), gates=PlayedGates(lambda _: VerdictFacts(decision="REJECT"))),
    )
    assert (refused.trainings, refused.promoted, refused.later) == (5, 0, never.later)
    played = play(RetrainingPolicy("always", ("new_partition",)), replace(past(), gates=PlayedGates(lambda _: TOO_GOOD)))
    assert played.promoted == 0, "a person is asked, and may say no"


def test_an_alarm_asks_for_the_first_model_that_is_trained_on_what_sounded_it() -> None:
    drift = play(RetrainingPolicy("drift", ("drift",), max_drop=0.5), past())
    assert (drift.at, drift.alarms) == (("e", "f"), 2), "drift in d, which is tested on as of d, and trained on as of e"
    long_window = play(RetrainingPolicy("drift", ("drift",)), past(test=2))
    assert long_window.at == ("f",)
    loss = play(RetrainingPolicy("loss", ("loss",), fails=1, of=1, max_drop=0.05), past())
    assert loss.at == ("e", "f")
    assert loss.worth == pytest.approx(10 * loss.later * 5)
    cooled = play(RetrainingPolicy("drift", ("drift",), cool_down=4), past())
    assert cooled.at == ("f",)


def test_a_schedule_trains_once_in_so_many_partitions_and_never_twice_as_of_one() -> None:
    assert play(RetrainingPolicy("schedule", ("schedule",), every=2), past()).at == ("c", "e")
    stuck = replace(past(), complete=np.array([0, 0, 0, 3, 3, 3]))
    assert play(RetrainingPolicy("schedule", ("schedule",)), stuck).at == ("d",), "outcomes that come together make one candidate"


def test_late_outcomes_delay_what_a_policy_sees_and_trains() -> None:
    late = play(RetrainingPolicy("always", ("new_partition",)), past(late=2))
    assert (late.partitions, late.at) == (3, ("b", "c", "d")), "d, e and f are served, of which d's model never serves"
    assert (late.promoted, late.later, late.worse) == (1, pytest.approx(0.4), 0.0)
    loss = play(RetrainingPolicy("loss", ("loss",), fails=1, of=1, max_drop=0.05), past(late=2))
    assert (loss.at, loss.alarms) == ((), 2), "what d lost is known when f is in, and no model is trained on d yet"
    assert play(RetrainingPolicy("loss", ("loss",), fails=1, of=1, max_drop=0.5), past(late=2)).alarms == 2, "d and e drifted"


def test_a_model_that_could_not_be_trained_is_no_training() -> None:
    none = replace(past(), is_trained=np.array([0, 1, 1, 0, 1, 1], dtype=bool))
    assert play(RetrainingPolicy("always", ("new_partition",)), none).at == ("c", "e", "f")


def test_a_file_of_policies_is_read_and_what_is_wrong_in_it_is_named_with_its_line(tmp_path: Path) -> None:
    file, present = tmp_path / "policies.yaml", RetrainingPolicy("present", ("new_partition",), fails=2, of=3, max_drop=0.1)
    file.write_text(
        "policies:\n  weekly: {on: [schedule], every: 4}\n  by_loss: {on: [loss], max_drop: 0.03, loss: {fails: 1, of: 2}}\n"
    )
    _, weekly, by_loss = policies_of(file, present)
    assert weekly == RetrainingPolicy("weekly", ("schedule",), every=4, fails=2, of=3, max_drop=0.1)
    assert by_loss == RetrainingPolicy("by_loss", ("loss",), fails=1, of=2, max_drop=0.03)
    file.write_text("policies:\n  weekly: {on: [monthly]}\n")
    with pytest.raises(PolicyRefused, match=r"policies.yaml:2: policies.weekly.on"):
        policies_of(file, present)


def test_a_random_schedule_is_drawn_among_partitions_that_bring_outcomes() -> None:
    stuck = replace(past(), complete=np.array([0, 0, 0, 3, 3, 5]))
    assert stuck.possible == [3, 5]


def test_a_random_schedule_trains_as_often_and_is_no_alarm() -> None:
    like = play(RetrainingPolicy("drift", ("drift",)), past())
    drawn = at_random("random", like, past(), np.random.default_rng(0))
    assert (drawn.trainings, drawn.alarms, drawn.partitions) == (2, 0, 5)
