"""A table without a time, delivered five times with overlapping keys: each delivery is tested on rows that no model has seen."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner

from ml_assets.cli import cli
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.lineage.facts import EvaluationFacts, ModelFacts, MonitoringFacts, ReleaseFacts
from ml_assets.core.model.split import parts
from ml_assets.services.automation.product_notices import causes
from ml_assets.services.next_window import next_delivery, next_window
from ml_assets.services.planning.plan import make_plan
from ml_assets.services.review.trial_windows import retired_windows
from ml_assets.services.review.walk import Walker, walk
from resources.dagster_assets import deliveries_name
from resources.dagster_resources import resources_of
from resources.settings import settings
from sensors import new_data
from tests.support.homes.loans import KEYS, deliver, loans, rows
from tests.support.homes.path_homes import Home, Run, blank_pages
from tests.support.homes.shop import csv_bytes

FIRST, SECOND, THIRD, FOURTH, FIFTH = KEYS
TESTED = KEYS[:4]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Home, dict[str, Run]]]:
    """A home with all five deliveries, and their runs."""
    home = loans(tmp_path_factory.mktemp("static"))
    with blank_pages():
        runs = {}
        for key in KEYS:
            deliver(home, key)
            runs[key] = home.run(key)
    yield home, runs
    home.close()


def keys_of(home: Home, stage: str, partition: str, member: str) -> set[int]:
    return set(home.space.snapshots.frame(home.get(stage, partition).snapshot, member)["loan_id"])


def trained_keys(home: Home, release: str) -> set[int]:
    """The keys of the rows that the release as of this delivery was trained on, by what it says of itself."""
    facts = ReleaseFacts.of(home.get("release", release))
    assert facts.split is not None
    assert facts.split.parts == tuple(range(int(release)))
    frame = home.space.snapshots.frame(home.get("features", release).snapshot, "features.parquet")
    return set(frame.filter(parts(frame, home.product).is_in(facts.split.parts))["loan_id"])


def test_every_delivery_goes_down_the_path_to_a_release(ran: tuple[Home, dict[str, Run]]) -> None:
    home, runs = ran
    for key in TESTED:
        assert runs[key].success, (key, runs[key].errors)
        assert runs[key].outcome is not None
        assert runs[key].outcome.kind == "promoted"
        assert {"no_leakage", "tested_on_unseen", "answers_equal_offline"} <= {c for c, ok in runs[key].checks.items() if ok}
    assert home.serving() == home.get("release", FOURTH).facts["release"]


def test_no_model_is_judged_on_a_row_that_it_was_trained_on(ran: tuple[Home, dict[str, Run]]) -> None:
    home, _ = ran
    for number, key in enumerate(TESTED):
        tested = keys_of(home, "evaluation", key, "scores.parquet")
        assert len(tested) > 40
        assert ModelFacts.of(home.get("model", key)).rows == len(trained_keys(home, key))
        for earlier in TESTED[: number + 1]:
            assert not tested & trained_keys(home, earlier), f"{key} is tested on what {earlier} was trained on"


def test_a_fold_that_was_tested_on_is_trained_on_from_then_on(ran: tuple[Home, dict[str, Run]]) -> None:
    home, _ = ran
    for before, after in pairwise(TESTED):
        tested, delivered = (keys_of(home, "evaluation", before, "scores.parquet"), {row["loan_id"] for row in rows(after)})
        assert tested & delivered <= trained_keys(home, after)


def test_each_delivery_is_a_look_at_a_window_of_its_own(ran: tuple[Home, dict[str, Run]]) -> None:
    home, _ = ran
    evaluations = [EvaluationFacts.of(home.get("evaluation", key)) for key in TESTED]
    assert [facts.tested for facts in evaluations] == [(key,) for key in TESTED]
    assert [facts.look.number for facts in evaluations] == [1] * 4
    assert [facts.champion is None for facts in evaluations] == [True, False, False, False]


def test_with_no_fold_left_the_data_go_on_and_the_reason_is_told(ran: tuple[Home, dict[str, Run]]) -> None:
    home, runs = ran
    run = runs[FIFTH]
    assert run.success, run.errors
    assert {"features", "monitoring", "predictions"} <= run.computed
    assert "model" not in run.materialized
    assert run.outcome is not None
    assert run.outcome.kind == "no candidate"
    for words in (run.outcome.reason, next_window(home.space.ledger, home.product)):
        assert "no reserve fold is left: each of the 4 was the test window of a delivery" in words
        assert "loans needs new rows, or a person" in words


def test_the_plan_has_nothing_to_do_for_a_delivery_that_cannot_be_tested(ran: tuple[Home, dict[str, Run]]) -> None:
    home, _ = ran
    planned = make_plan(home.space.lineage, home.space.landing, home.product, cache=home.space.settings.cache)
    assert {item.stage for item in planned} <= {"report", "tracking"}, "Home.run leaves the leaves out"


def test_outcomes_are_watched_on_rows_that_the_release_never_saw(ran: tuple[Home, dict[str, Run]]) -> None:
    home, _ = ran
    facts = MonitoringFacts.of(home.get("monitoring", THIRD))
    assert facts.metrics is not None
    frame = home.space.snapshots.frame(home.get("features", THIRD).snapshot, "features.parquet")
    watched = frame.filter(parts(frame, home.product).is_in([2, 3]))
    assert facts.metrics["roc_auc"]["candidate"].rows == watched.height


def test_a_prediction_of_a_batch_has_no_time_where_a_question_has_none(ran: tuple[Home, dict[str, Run]]) -> None:
    home, _ = ran
    predictions = home.space.snapshots.frame(home.get("predictions", FIFTH).snapshot, "predictions.parquet")
    assert predictions.height == 600
    assert predictions["at"].null_count() == 600


def test_a_change_may_be_tried_on_the_folds_that_are_retired(ran: tuple[Home, dict[str, Run]]) -> None:
    home, _ = ran
    assert retired_windows(home.space.ledger, home.product) == [FIRST, SECOND, THIRD]


def test_another_division_of_the_keys_is_refused_while_what_it_would_have_seen_serves(
    ran: tuple[Home, dict[str, Run]], tmp_path: Path
) -> None:
    home = ran[0].copy(tmp_path / "home")
    home.edit("product.yaml", ("folds: 4", "folds: 8"))
    deliver(home, "0006")
    with blank_pages():
        run = home.run("0006")
    assert "the champion was trained on another division of the keys" in run.errors["evaluation"]
    assert home.serving() == home.get("release", FOURTH).facts["release"]


def test_the_sensor_makes_a_delivery_known_to_dagster_and_launches_it(tmp_path: Path) -> None:
    home = loans(tmp_path, ("title:", "landing: {settle: 0}\ntitle:"))
    deliver(home, FIRST)
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_sensor_context(instance=instance, resources=resources_of(home.space.settings)) as context,
    ):
        result = new_data.build(home.product)(context)
        assert isinstance(result, dg.SensorResult)
        assert [request.partition_key for request in result.run_requests or []] == [FIRST]
        assert list(instance.get_dynamic_partitions(deliveries_name(home.product))) == [FIRST]


def test_deliveries_that_were_run_elsewhere_are_made_known_to_dagster(ran: tuple[Home, dict[str, Run]]) -> None:
    home, _ = ran
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_sensor_context(instance=instance, resources=resources_of(home.space.settings)) as context,
    ):
        new_data.build(home.product)(context)
        assert sorted(instance.get_dynamic_partitions(deliveries_name(home.product))) == list(KEYS)


def test_a_delivery_gets_the_next_number(tmp_path: Path) -> None:
    home = loans(tmp_path)
    landing, ledger = home.space.landing, home.space.ledger
    assert next_delivery(landing, ledger, home.product, "loans") == FIRST
    deliver(home, FIRST)
    assert next_delivery(landing, ledger, home.product, "loans") == SECOND


@pytest.mark.long
def test_a_delivery_again_is_the_same_window_again(tmp_path: Path) -> None:
    """A correction gives no fresh rows: the same keys are in the fold, and the look is charged to it."""
    home = loans(tmp_path)
    deliver(home, FIRST)
    with blank_pages():
        assert home.run(FIRST).success
        mended = [{**row, "amount": row["amount"] + 1} for row in rows(FIRST)]
        home.deliver(FIRST, {"loans": csv_bytes(mended)})
        assert home.run(FIRST).success
    assert EvaluationFacts.of(home.get("evaluation", FIRST)).look.number == 2


def test_a_person_is_told_once_that_no_fold_is_left(ran: tuple[Home, dict[str, Run]]) -> None:
    space = ran[0].space
    notices = [
        notice for notice in causes(space.lineage, space.landing, space.settings, ran[0].product) if notice.event == "waiting"
    ]
    assert [(notice.partition, notice.title) for notice in notices] == [(FIFTH, "no further candidate is trained")]
    assert "loans needs new rows, or a person" in notices[0].why
    again = [
        notice for notice in causes(space.lineage, space.landing, space.settings, ran[0].product) if notice.event == "waiting"
    ]
    assert [notice.id for notice in again] == [notices[0].id]


def test_a_change_is_walked_over_a_retired_fold(ran: tuple[Home, dict[str, Run]], tmp_path: Path) -> None:
    home = ran[0]
    folders = {"ML_ASSETS_HOME": str(tmp_path / "own"), "ML_ASSETS_UPSTREAM": str(home.folder)}
    space = Workspace(settings({**folders, "ML_ASSETS_PRODUCTS": str(home.declared.parent)}))
    assert space.lineage.upstream is not None
    model = home.product.model.model_copy(update={"depth": 2})
    changed = home.product.model_copy(update={"model": model})
    walked = walk(Walker(space.lineage, space.lineage.upstream, space.dbt, changed), [SECOND])
    assert [(window.partition, window.tested) for window in walked.walked.windows] == [(SECOND, (SECOND,))]
    assert set(walked.rows["loan_id"]) == keys_of(home, "evaluation", SECOND, "scores.parquet")
    assert not [check for check in walked.walked.checks if not check.passed and check.severity == "ERROR"]


@pytest.mark.parametrize("command", [["status"], ["plan"], ["gates", "budget"], ["gates", "backtest"]])
def test_commands_that_look_at_past_windows_need_no_time(
    ran: tuple[Home, dict[str, Run]], monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    home, _ = ran
    monkeypatch.setenv("ML_ASSETS_HOME", str(home.folder))
    monkeypatch.setenv("ML_ASSETS_PRODUCTS", str(home.declared.parent))
    result = CliRunner().invoke(cli, [*command, "loans"])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    assert "0004" in result.output or "no reserve fold is left" in result.output
