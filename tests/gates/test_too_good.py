"""A gain that earlier gains do not let one expect holds a candidate for a person; usual ones do not."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from ml_assets.core.gates.panel import Panel, panel
from ml_assets.core.gates.too_good import LEAST_PAST, MOST_UNITS, earlier_gains, gain, too_good
from ml_assets.core.gates.verdict import judge
from ml_assets.core.lineage.verdict_facts import GainFacts, VerdictFacts
from ml_assets.core.release.clearance import clearance
from tests.support.gated import arguments, product

ERROR = 0.004


def gained(value: float, **changes: Any) -> GainFacts:
    return GainFacts(**{"metric": "roc_auc", "unit": "day", "value": value, "error": ERROR} | changes)


def rows(*, days: int = 20, rows_a_day: int = 60, leak: float = 0.0) -> Panel:
    random = np.random.default_rng(5)
    y = (random.random(days * rows_a_day) < 0.4).astype(float)
    champion = 0.3 * y + random.random(y.size)
    scores = {"champion": champion / 2, "candidate": (champion + leak * y) / (2 + leak)}
    return panel(task="binary", y=y, scores=scores, unit=np.repeat(np.arange(days), rows_a_day), columns={})


def test_the_gain_is_the_mean_difference_within_units_in_the_better_direction() -> None:
    on = rows(leak=0.2)
    gained_now = gain(on, "roc_auc", unit="day")
    assert gained_now is not None
    differences = [
        roc_auc_score(on.y[mine], on.scores["candidate"][mine]) - roc_auc_score(on.y[mine], on.scores["champion"][mine])
        for mine in (on.codes == code for code in range(on.units.count))
    ]
    assert gained_now.value == pytest.approx(np.mean(differences), abs=1e-12)
    assert gained_now.error == pytest.approx(np.std(differences, ddof=1) / np.sqrt(len(differences)), abs=1e-12)
    loss = gain(on, "log_loss", unit="day")
    assert loss is not None
    worse = replace(on, scores={"candidate": on.scores["champion"], "champion": on.scores["candidate"]})
    assert loss.value == pytest.approx(-gain(worse, "log_loss", unit="day").value)  # type: ignore[union-attr]


def test_nothing_is_measured_where_it_would_mean_nothing() -> None:
    on = rows()
    assert gain(replace(on, scores={"candidate": on.scores["candidate"]}), "roc_auc", unit="day") is None
    assert gain(on, "calibration_gap", unit="day") is None, "it has no better side"
    assert gain(on.by_row(), "roc_auc", unit="row") is None, "a row alone has no rank"
    assert MOST_UNITS < 10_000 <= rows(days=10_000, rows_a_day=1).units.count
    assert gain(rows(days=10_000, rows_a_day=1), "log_loss", unit="row") is None
    assert gain(replace(on, y=np.zeros(on.rows)), "roc_auc", unit="day") is None, "one class"


def test_usual_gains_raise_an_alarm_as_seldom_as_stated_and_a_leak_nearly_always() -> None:
    random = np.random.default_rng(11)
    trials, past = 4000, 6
    draws = random.normal(0.008, ERROR, (trials, past + 1))
    earlier = [[gained(value) for value in row[:-1]] for row in draws]
    usual = np.mean([bool(too_good(gained(row[-1]), before)) for row, before in zip(draws, earlier, strict=True)])
    leaking = np.mean([bool(too_good(gained(row[-1] + 0.04), before)) for row, before in zip(draws, earlier, strict=True)])
    assert usual <= 0.005 + 3.5 * np.sqrt(0.005 * 0.995 / trials)
    assert leaking >= 0.9


def test_too_few_earlier_gains_and_equal_ones_say_nothing() -> None:
    assert too_good(gained(0.5), [gained(0.01)] * (LEAST_PAST - 1)) == ""
    assert too_good(gained(0.5), [gained(0.01), gained(0.02)] * 2)
    assert too_good(None, [gained(0.01)] * 9) == ""
    assert too_good(gained(0.0, error=0.0), [gained(0.0, error=0.0)] * 9) == ""


def test_gains_of_another_metric_or_unit_are_no_history() -> None:
    verdicts = [
        VerdictFacts(decision="ACCEPT", gain=gained_then)
        for gained_then in (gained(1.0), gained(2.0, metric="brier"), gained(3.0, unit="week"), None)
    ]
    assert [earlier_gain.value for earlier_gain in earlier_gains(verdicts, metric="roc_auc", unit="day")] == [1.0]


def test_such_a_candidate_waits_for_a_person_although_every_claim_passed(tmp_path: Path) -> None:
    declared = product(tmp_path)
    on, unit = panel(**arguments()), declared.gates.unit
    usual = [gained(0.0, unit=unit, metric=declared.gates.metric, error=1e-6 * n) for n in range(1, 6)]
    for gains, waits in ((usual, True), ((), False)):
        verdict = judge(declared, on, gains=gains)
        assert verdict.decision == "ACCEPT"
        facts = msgspec.convert(verdict.to_dict(), VerdictFacts)
        assert facts.gain == verdict.gain
        decided = clearance(declared, facts, has_champion=True)
        assert not decided.reasons
        assert ("too good to be true" in decided.approval_reason) == waits
