"""`ml-assets recall` on three real months: what it touched, the way back, and a clean model promoted by evidence."""

import json
from typing import Any

import pytest
from click.testing import CliRunner

from ml_assets.cli import cli
from resources.ledger.recalls import recalled_partitions
from tests.support.homes.flights_months import MONTHS, copies, copy, month, months, with_column
from tests.support.homes.path_homes import Home
from tests.support.logged import log, predicted

__all__ = ["copies", "copy", "months"]

FIRST, SECOND, THIRD = MONTHS


def recall(at: Home, what: str, *options: str) -> dict[str, Any]:
    """The command in this process, because most of it is imports; what it says as JSON."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in at.space.settings.environ().items():
            patch.setenv(name, value)
        patch.setenv("DAGSTER_HOME", "")
        command = ["recall", "flights", what, "--reason", "a broken clock", "--by", "ana", "--json", *options]
        done = CliRunner().invoke(cli, command)
    assert done.exit_code == 0, done.output
    return dict(json.loads(done.stdout))


def name(at: Home, stage: str, partition: str) -> str:
    return str(at.get(stage, partition).facts["release"])


def logged(at: Home, *releases: str) -> None:
    """Predictions in the log, one of each release."""
    log(at.space.settings.predictions("flights"), *(predicted(number, release=name) for number, name in enumerate(releases)))


def test_without_apply_it_tells_what_was_touched_and_changes_nothing(copy: Home) -> None:
    second, third = (name(copy, "release", key) for key in (SECOND, THIRD))
    logged(copy, second, third, third)
    before = copy.counts()
    outcome = recall(copy, THIRD)
    assert outcome["releases"] == [third]
    assert outcome["predictions"] == {third: 2}
    assert {stage for stage, keys in outcome["touched"].items() if keys == [THIRD]} == {
        "raw", "dataset", "quarantine", "features", "evaluation", "report", "release", "tracking", "monitoring", "predictions",
    }  # fmt: skip
    assert outcome["rollbacks"] == [{"environment": e, "now": third, "to": second} for e in ("production", "staging")]
    assert outcome["again"] == {"partitions": [], "blocked": None}
    assert (copy.counts(), copy.serving()) == (before, third)


def test_the_newest_month_is_recalled_and_replaced_by_a_new_delivery(copy: Home) -> None:
    second, third = (name(copy, "release", key) for key in (SECOND, THIRD))
    assert recall(copy, THIRD, "--apply")["applied"]["answers"] == {"production": second, "staging": second}
    assert copy.serving() == copy.serving("staging") == second
    assert recalled_partitions(copy.space.ledger, "flights") == {THIRD: "a broken clock"}
    copy.deliver(THIRD, month(THIRD))
    run = copy.run(THIRD)
    assert not run.success
    assert "Recalled: flights/raw 2013-03 may not be used" in run.errors["dataset"]
    assert "features" not in run.materialized
    assert recall(copy, THIRD, "--apply")["applied"]["recorded"] is False
    # a change that no feature sees: equal features, and yet nothing that came from the recalled month is reused
    copy.deliver(THIRD, {"weather": with_column(month(THIRD)["weather"], "wind_gust", b"20.5", every=50)})
    run = copy.run(THIRD)
    assert run.success, run.errors
    assert recalled_partitions(copy.space.ledger, "flights") == {}
    assert {"evaluation", "release"} <= run.computed
    assert run.materialized["model"] is False
    assert copy.serving() == name(copy, "release", THIRD)
    assert copy.get("release", THIRD).snapshot != copy.space.ledger.release_named(third) or name(copy, "release", THIRD) != third
    assert copy.get("evaluation", THIRD).facts["champion"]["release"] == second


@pytest.mark.long
def test_an_old_month_is_recalled_and_a_model_without_it_takes_over(copy: Home) -> None:
    third = copy.get("release", THIRD)
    outcome = recall(copy, FIRST, "--apply")
    assert [step["to"] for step in outcome["rollbacks"]] == [None, None]
    assert outcome["again"]["partitions"] == [SECOND, THIRD]
    assert [run["success"] for run in outcome["applied"]["runs"]] == [True, True]
    assert copy.get("features", SECOND).facts["rows"] > 0
    now = copy.get("release", THIRD)
    assert copy.get("model", THIRD).facts["train"] == [SECOND]
    assert copy.get("evaluation", THIRD).facts["champion"]["release"] == third.facts["release"]
    assert copy.serving() == now.facts["release"] != third.facts["release"]
    assert recall(copy, FIRST)["rollbacks"] == []


def test_a_recalled_release_never_comes_back(copy: Home) -> None:
    second, third = (name(copy, "release", key) for key in (SECOND, THIRD))
    outcome = recall(copy, third, "--apply")
    assert outcome["again"] == {"partitions": [], "blocked": f"{THIRD}, the newest, would make the same release; "
                             "change data, code or configuration"}  # fmt: skip
    assert copy.serving() == second
    run = copy.run(THIRD)
    assert not run.success
    assert "Recalled" in run.errors["endpoint/staging"]
    assert copy.serving() == copy.serving("staging") == second
