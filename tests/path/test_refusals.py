"""What may not answer does not: not by the path, and not around it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from resources.ledger.ledger import Entry
from tests.support.homes.flights_months import MONTHS, MORE, NEXT, WEAK, Months, copies, copy, month, months
from tests.support.homes.path_homes import Home, Run

__all__ = ["copies", "copy", "months"]

FIRST, SECOND, THIRD = MONTHS
AFTER = "2013-05"
STAGING_CHECK = "endpoint/staging:answers_equal_offline"
LEAK = (
    (r"sums\.departed_day < days\.day and", "sums.departed_day <= days.day and"),
    (r"max\(sums\.departed_day\) as last_day", "least(max(sums.departed_day), max(days.day) - 1) as last_day"),
)
"""The rates of a day count the day itself, and say that they do not."""


@dataclass(frozen=True)
class After:
    """A home and the run that brought it there."""

    home: Home
    run: Run


def refusals(at: Home) -> list[Entry]:
    return [entry for entry in at.space.ledger.entries() if entry.kind == "refusal"]


@pytest.fixture(scope="module")
def rejected(copies: Callable[[], Home]) -> After:
    """A fourth month whose candidate is one split drawn by lot."""
    homes = copies()
    homes.edit("product.yaml", *WEAK)
    homes.deliver(NEXT, month(NEXT))
    return After(homes, homes.run(NEXT))


@pytest.fixture(scope="module")
def untried(copies: Callable[[], Home]) -> After:
    """A better candidate for the third month, whose release was never tried in staging."""
    homes = copies()
    homes.edit("product.yaml", *MORE)
    return After(homes, homes.run(THIRD, without=[STAGING_CHECK]))


def test_a_candidate_worse_than_the_margin_is_withheld_and_the_champion_answers_on(months: Months, rejected: After) -> None:
    run = rejected.run
    assert run.success
    assert run.errors == {}
    assert {"gates_passed", "not_worse"} <= run.failed_checks & run.warnings
    assert run.descriptions["gates_passed"].startswith("REJECT: ")
    assert run.descriptions["gates_passed"].endswith("(the release is withheld)")
    assert run.descriptions["not_worse"].startswith("undecided: -0.2")
    assert "more units like these would decide" in run.descriptions["not_worse"]
    assert ": disproven < " in run.descriptions["calibrated"]
    assert "disproven < 0.02" in run.descriptions["calibrated"]
    informing = {"monitoring", "predictions"}
    assert run.computed == {"raw", "dataset", "quarantine", "features", "model", "evaluation"} | informing
    assert not run.materialized.keys() & {"release", "endpoint/staging", "endpoint/production"}
    assert not refusals(rejected.home)
    assert rejected.home.current("release", NEXT) is None
    assert rejected.home.serving() == months.home.serving()
    assert rejected.home.get("monitoring", NEXT).facts["metrics"]["roc_auc"]["candidate"]["value"] > 0.6


def test_a_release_alone_after_a_reject_is_refused_with_every_reason_and_recorded(rejected: After) -> None:
    alone = rejected.home.run(NEXT, only=["release"])
    assert not alone.materialized
    release = alone.errors["release"]
    assert "ReleaseRefused: flights 2013-04" in release
    assert all(part in release for part in ("the verdict is REJECT", "gate not_worse did not pass", NEXT))
    recorded = refusals(rejected.home)[-1].body
    assert (recorded["stage"], recorded["partition"]) == ("release", NEXT)
    assert recorded["model"] == rejected.home.get("model", NEXT).id
    assert len(recorded["reasons"]) >= 2
    assert all(reason in release for reason in recorded["reasons"])
    assert rejected.home.current("release", NEXT) is None


def test_endpoints_alone_after_a_reject_move_nothing(months: Months, rejected: After) -> None:
    before = months.home.counts()
    assert rejected.home.run("", only=["endpoint/staging", "endpoint/production"]).success
    assert rejected.home.serving() == months.home.serving()
    assert [rejected.home.counts()[kind] for kind in ("promotion", "staging")] == [before["promotion"], before["staging"]]


def test_a_release_that_was_not_tried_in_staging_may_not_answer(months: Months, untried: After) -> None:
    assert untried.run.computed >= {"release", "endpoint/staging"}
    assert "endpoint/production" not in untried.run.materialized
    for run in (untried.run, untried.home.run("", only=["endpoint/production"])):
        assert not run.success
        assert "PromotionRefused" in run.errors["endpoint/production"]
        assert "answers_equal_offline was never checked" in run.errors["endpoint/production"]
        assert untried.home.serving() == months.home.serving()
    assert [entry.body["stage"] for entry in refusals(untried.home)] == ["endpoint"] * 2


def test_the_same_release_answers_once_it_was_tried(untried: After, tmp_path: Path) -> None:
    tried = untried.home.copy(tmp_path / "home")
    run = tried.run(THIRD)
    assert run.success
    assert run.computed == {"endpoint/staging", "endpoint/production"}
    assert tried.serving() == tried.get("release", THIRD).facts["release"]


@pytest.mark.long
def test_a_selection_without_checks_gets_as_far_as_what_needs_them(months: Months, copy: Home) -> None:
    copy.deliver(NEXT, month(NEXT))
    bare = copy.run(NEXT, without=[])
    assert not bare.checks
    assert bare.materialized.keys() >= {"features", "model"}
    assert "NotProven" in bare.errors["evaluation"]
    assert "flights/features 2013-04: no_leakage was never checked for this content" in bare.errors["evaluation"]
    copy.deliver(AFTER, month(AFTER))
    full = copy.run(AFTER)
    assert full.materialized.keys() >= {"features", "monitoring"}
    assert "model" not in full.materialized
    assert "NotProven" in full.errors["model"]
    assert "flights/features 2013-04: keeps_contract was never checked for this content" in full.errors["model"]
    assert copy.serving() == months.home.serving()


def test_a_feature_that_knows_the_outcome_is_found_and_no_model_is_fitted_on_it(months: Months, copy: Home) -> None:
    copy.edit("dbt/flights_late_rates.sql", *LEAK)
    run = copy.run(SECOND)
    assert not run.success
    assert run.failed_checks - {"columns_stable", "score_stable"} == {"no_leakage"}
    assert run.descriptions["no_leakage"] == "carrier_late_rate, origin_late_rate, route_late_rate know what happens later"
    assert "model" not in run.materialized
    alone = copy.run(THIRD, only=["model"])
    assert not alone.materialized
    assert "NotProven" in alone.errors["model"]
    assert "flights/features 2013-02: no_leakage failed" in alone.errors["model"]
    assert copy.serving() == months.home.serving()
