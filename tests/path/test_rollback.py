"""Rolling back from Dagster, and the drill that tries a rollback before somebody needs one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from checks import rollback as drill
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.definitions import build_defs
from ml_assets.services.claims import ROLLBACK_DRILL
from resources.dagster_assets import asset_key
from resources.dagster_resources import resources_of
from resources.endpoints.moves import moves_of
from tests.support.command_line import Days
from tests.support.homes.path_homes import QUIET
from tests.support.homes.small_home import small_home


@pytest.fixture
def days(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Days:
    """A copy of the small home, in which two releases answered."""
    return small_home(tmp_path_factory, tmp_path / "copy")


@pytest.fixture
def space(days: Days) -> Iterator[Workspace]:
    space = days.open()
    yield space
    space.ledger.close()


def run_job(days: Days, space: Workspace, **config: str) -> Any:
    definitions = build_defs({"flights": days.flights}, resources_of(space.settings))
    run_config = {**QUIET, "ops": {"flights__roll_back": {"config": config}}}
    with dg.DagsterInstance.ephemeral() as instance:
        job = definitions.resolve_job_def("flights_rollback")
        return job.execute_in_process(instance=instance, raise_on_error=False, run_config=run_config)


def drilled(days: Days, space: Workspace) -> dg.AssetCheckEvaluation:
    """What the check says when it runs alone."""
    key = dg.AssetCheckKey(asset_key(days.flights, "endpoint/production"), ROLLBACK_DRILL)
    alone = dg.Definitions(jobs=[dg.define_asset_job("alone", selection=dg.AssetSelection.checks(key))])
    definitions = dg.Definitions.merge(build_defs({"flights": days.flights}, resources_of(space.settings)), alone)
    with dg.DagsterInstance.ephemeral() as instance:
        done = definitions.resolve_job_def("alone").execute_in_process(instance=instance, run_config=QUIET)
        return next(iter(done.get_asset_check_evaluations()))


def releases(space: Workspace) -> list[str]:
    return [move.release for move in moves_of(space.ledger, "flights", "production")]


def logged(space: Workspace) -> dict[str, int]:
    """The files of the prediction log, with their sizes."""
    return {path.name: path.stat().st_size for path in space.settings.predictions("flights").rglob("*") if path.is_file()}


def test_the_job_lets_the_release_before_answer_and_records_who_and_why(days: Days, space: Workspace) -> None:
    first, second = releases(space)
    assert run_job(days, space, by="Ada", reason="late flights look wrong").success
    moved = space.ledger.pointer("flights", "production")
    assert moved
    assert (moved.kind, moved.body.release, moved.body.by) == ("rollback", first, "Ada")
    assert moved.body.reason == "late flights look wrong"
    assert run_job(days, space, by="Ada", reason="they were right", to=second).success
    assert releases(space) == [first, second, first, second]
    message = space.settings.pointer("flights", "production").read_text()
    assert second in message
    assert "they were right" in message


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"by": "Ada", "reason": "a typo", "to": "2013-01-09.cafebabe"}, "there is no release 2013-01-09.cafebabe"),
        ({"by": " ", "reason": "nobody"}, "by must not be empty"),
        ({"by": "Ada", "reason": ""}, "reason must not be empty"),
    ],
)
def test_a_rollback_to_nothing_or_by_nobody_moves_nothing(
    days: Days, space: Workspace, config: dict[str, str], message: str
) -> None:
    before = releases(space)
    done = run_job(days, space, **config)
    assert not done.success
    error = next(event.step_failure_data.error for event in done.get_step_failure_events())
    assert message in (error.cause or error).message
    assert releases(space) == before


@pytest.mark.long
def test_the_drill_goes_back_and_forth_within_seconds_and_moves_nothing_of_ours(days: Days, space: Workspace) -> None:
    first, second = releases(space)
    pointer = space.settings.pointer("flights", "production")
    before, entries, predictions = pointer.stat(), len(space.ledger.entries()), logged(space)
    drill_now = drilled(days, space)
    assert drill_now.passed, drill_now.description
    assert (drill_now.metadata["back_to"].value, drill_now.metadata["forth_to"].value) == (first, second)
    assert 0 < float(str(drill_now.metadata["seconds_back"].value)) < drill.MOST_SECONDS
    after = pointer.stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)
    assert [entry.kind for entry in space.ledger.entries()[entries:]] == ["evidence"]
    assert logged(space) == predictions


@pytest.mark.long
def test_the_drill_finds_that_the_release_before_is_damaged(days: Days, space: Workspace) -> None:
    first = moves_of(space.ledger, "flights", "production")[0]
    model = space.snapshots.path(first.bundle, "model.cbm")
    model.chmod(0o644)
    model.write_bytes(b"CBM1 damaged")
    drill = drilled(days, space)
    assert not drill.passed
    assert first.release in (drill.description or "")


@pytest.mark.long
def test_the_drill_finds_that_going_back_is_too_slow(days: Days, space: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drill, "MOST_SECONDS", 0.001)
    drill_now = drilled(days, space)
    assert not drill_now.passed
    assert "answered after" in (drill_now.description or "")


def test_before_a_second_release_there_is_nothing_to_try_and_that_is_a_warning(days: Days, space: Workspace) -> None:
    _, second = releases(space)
    space.endpoints.rollback("flights", to=None, by="Ada", reason="to the first")
    drill = drilled(days, space)
    assert (drill.passed, drill.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "no release before" in (drill.description or "")
    assert second not in (drill.description or "")
