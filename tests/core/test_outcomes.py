"""What came of a run that succeeded follows from what it materialized, and from checks that did not pass."""

import dagster as dg
import pytest

from ml_assets.services.automation.run_outcomes import decided, outcome_of


@pytest.mark.parametrize(
    ("verdict", "decision", "kind"),
    [
        ("ACCEPT", "promoted; the server swapped", "promoted"),
        ("ACCEPT", "kept: it already serves", "kept"),
        ("ACCEPT", "kept: frozen until 2030-01-07T00:00 UTC by ann: holidays", "withheld"),
        ("ACCEPT", "kept: waits for approval by two people", "withheld"),
        ("ACCEPT", "kept: withheld by promote.commit: clean", "withheld"),
        ("ACCEPT", "kept: refused by ben: a carrier is missing", "withheld"),
        ("REJECT; the floor", "promoted; the server swapped", "promoted"),
        ("REJECT; the floor", "", "withheld"),
        ("INCONCLUSIVE; too few days", "", "withheld"),
        ("", "", "no candidate"),
    ],
)
def test_a_run_that_succeeded_is_called_by_what_it_did(verdict: str, decision: str, kind: str) -> None:
    shown = {"evaluation": {"verdict": verdict}, "endpoint/production": {"decision": decision}}
    assert decided(shown).kind == kind


def test_a_window_that_is_used_up_withholds_the_candidate_and_says_why() -> None:
    outcome = decided({}, ["monitoring: columns_stable: moved", "evaluation: window_open: it is retired"])
    assert (outcome.kind, outcome.reason) == ("withheld", "evaluation: window_open: it is retired")


def test_a_run_that_a_check_ended_says_what_the_check_saw() -> None:
    """Dagster's own message has the check's name alone."""

    @dg.asset(key=["orders", "endpoint", "staging"])
    def staging() -> None: ...

    @dg.asset_check(asset=staging, blocking=True)
    def answers() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=False, description="not ready after 60 s")

    @dg.asset(deps=[staging])
    def production() -> None: ...

    with dg.DagsterInstance.ephemeral() as instance:
        definitions = dg.Definitions(assets=[staging, production], asset_checks=[answers], executor=dg.in_process_executor)
        ran = definitions.resolve_implicit_global_asset_job_def().execute_in_process(instance=instance, raise_on_error=False)
        record = instance.get_run_by_id(ran.run_id)
        assert record is not None
        outcome = outcome_of(instance, record)
    assert (outcome.kind, outcome.reason) == ("broken", "endpoint/staging: answers: not ready after 60 s")
