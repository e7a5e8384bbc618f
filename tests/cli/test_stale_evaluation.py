"""An evaluation that other code, configuration or libraries made is not evidence; every command that shows it says so first."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ml_assets.cli import cli
from ml_assets.core.lineage import stages
from ml_assets.services.stale_evaluations import made_by_other_code, stale_evaluations
from resources.ledger import tables as schema
from tests.support.command_line import Days, replace_in
from tests.support.homes.small_home import DAYS, small_home

pytestmark = pytest.mark.timeout(600)
FIRST, SECOND, THIRD = DAYS
CAUSE = "product.yaml: model.iterations 5 -> 6"
NO_EVIDENCE = f"it is not evidence for the current code; `ml-assets run flights --partition {THIRD}` rebuilds it"


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Days:
    """Three days down the path; then somebody asks for one more tree."""
    days = small_home(tmp_path_factory, tmp_path_factory.mktemp("days"))
    assert "stale      nothing" in command(days, "status", "flights").output
    days.edit("iterations: 5", "iterations: 6")
    return days


def command(days: Days, *args: str) -> Result:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("ML_ASSETS_HOME", "ML_ASSETS_PRODUCTS"):
            patch.setenv(name, days.environ[name])
        patch.setenv("DAGSTER_HOME", "")
        done = CliRunner().invoke(cli, args)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def test_status_says_it_above_the_table_once_for_all_partitions(days: Days) -> None:
    lines = command(days, "status", "flights").output.splitlines()
    assert f"{SECOND} to {THIRD}, 2 evaluations: made by other configuration: {CAUSE}; {NO_EVIDENCE}" in lines
    assert [line for line in lines if line.startswith(THIRD) and "ACCEPT (stale)" in line]
    rows = json.loads(command(days, "status", "flights", "--json").output)["partitions"]
    assert [(row["partition"], row["verdict"], bool(row["stale"])) for row in rows] == [
        (FIRST, None, False),
        (SECOND, "ACCEPT", True),
        (THIRD, "ACCEPT", True),
    ]


def test_report_and_card_begin_with_it(days: Days, tmp_path: Path) -> None:
    done = command(days, "report", "flights", "--output", str(tmp_path))
    assert NO_EVIDENCE in done.stderr
    space = days.open()
    release = space.ledger.current("flights", "release", THIRD)
    space.ledger.close()
    assert release
    for page in ((tmp_path / "report.md").read_text(), command(days, "card", str(release.facts["release"])).output):
        assert page.startswith(f"> **The evaluation of {THIRD} was made by other configuration**; {NO_EVIDENCE}.\n")
        assert page.splitlines()[2] == "> - product.yaml: model.iterations 5 -\\> 6"


@pytest.mark.long
def test_a_check_passes_no_claim_of_it_and_keeps_the_evidence(days: Days) -> None:
    before = days.open()
    evaluation = before.ledger.current("flights", "evaluation", THIRD)
    assert evaluation
    shown = {claim: entry.body.passed for claim, entry in before.ledger.evidence(evaluation.id).items()}
    done = json.loads(command(days, "check", "flights", "--partition", THIRD, "--json").output)
    assert CAUSE in done["stale"]
    claims = [row for row in done["checks"] if row["asset"] == "flights/evaluation"]
    assert {row["check"] for row in claims} >= {"gates_passed", "floor", "not_worse"}
    assert {(row["passed"], row["severity"]) for row in claims} == {(False, "WARN")}
    assert all(NO_EVIDENCE in row["description"] for row in claims)
    assert {claim: entry.body.passed for claim, entry in before.ledger.evidence(evaluation.id).items()} == shown
    before.ledger.close()


def test_other_code_and_other_libraries_are_named_as_such(days: Days, monkeypatch: pytest.MonkeyPatch) -> None:
    space, product = days.open(), days.flights
    evaluation = space.ledger.current("flights", "evaluation", THIRD)
    assert evaluation
    here = stages.environment

    def upgraded(stage: stages.Stage) -> dict[str, str]:
        return here(stage) | ({"catboost": "9.9"} if "catboost" in stage.packages else {})

    monkeypatch.setattr(stages, "environment", upgraded)
    for stale in (stale_evaluations(space.lineage, product)[THIRD], made_by_other_code(space.lineage, product, evaluation)):
        assert stale
        assert stale.made_by == "made by other configuration and libraries"
        assert any(cause.startswith("library: catboost ") and cause.endswith("-> 9.9") for cause in stale.causes)
    space.ledger.close()


def test_run_stale_waits_for_the_next_partition_where_the_test_window_is_retired(days: Days) -> None:
    space = days.open()
    entries = len(space.ledger.entries())
    spec = days.products / "flights" / "product.yaml"
    replace_in(spec, {"ships: 5": "ships: 1"})
    done = command(days, "run", "flights", "--stale")
    assert done.exit_code == 0, done.output
    assert "stale snapshots wait for the next partition" in done.output
    assert "this one's is retired, it let through 1 of at most 1" in done.output
    assert len(space.ledger.entries()) == entries
    replace_in(spec, {"ships: 1": "ships: 5"})
    space.ledger.close()


@pytest.mark.long
def test_run_stale_makes_the_newest_path_and_what_it_reads_again_and_asks_no_older_window(days: Days) -> None:
    replace_in(days.products / "flights" / "contract.py", {'"min_rows": 100': '"min_rows": 99'})
    space = days.open()
    looks = len(space.ledger.entries(schema.entries.c.kind == "look"))
    older = space.ledger.current("flights", "evaluation", SECOND)
    assert command(days, "run", "flights", "--stale", "--partition", SECOND).exit_code == 2
    done = command(days, "run", "flights", "--stale")
    assert done.exit_code == 0, done.output
    first, *causes = done.output.splitlines()
    assert "stale snapshots are rebuilt" in first
    assert "CPU seconds by recorded times" in first
    assert "no older test window is asked again" in first
    assert [line for line in causes if line.endswith(CAUSE)]
    assert [line for line in causes if "code of dataset changed: contract.py" in line]
    assert set(stale_evaluations(space.lineage, days.flights)) == {SECOND}
    assert len(space.ledger.entries(schema.entries.c.kind == "look")) == looks + 1
    assert space.ledger.current("flights", "evaluation", SECOND) == older
    entries = len(space.ledger.entries())
    again = command(days, "run", "flights", "--stale")
    assert (again.exit_code, again.output.startswith(f"flights {THIRD}: nothing to do")) == (0, True)
    assert json.loads(command(days, "run", "flights", "--stale", "--json").output)["run"] is None
    assert len(space.ledger.entries()) == entries
    space.ledger.close()
