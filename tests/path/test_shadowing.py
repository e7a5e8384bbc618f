"""A release is tried in the shadow with a real server: held back until it is good enough, ended by itself for harm."""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl
import pytest

from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.monitoring.shadow_harm import judge, pairs
from ml_assets.core.release.bundle import as_requests
from ml_assets.services import shadow_trials as shadowing
from ml_assets.services.verify.home import verify
from ml_assets.serving.client import http_client as client
from ml_assets.serving.client.server_process import ServerProcess
from ml_assets.serving.log import reader
from ml_assets.spec.sections import ShadowSpec
from resources.dagster_resources import resources_of
from resources.endpoints import pointer, shadows
from sensors import shadow as sensor
from tests.support.command_line import Days
from tests.support.homes.small_home import DAYS, small_home

CLASSES = ("low", "mid", "high")
TERMS = ShadowSpec(unit="day", alpha=0.05, max_harm=0.02, bound=0.1)


def judged(worse: float, *, days: int = 40) -> str:
    rng = np.random.default_rng(1)
    label = rng.integers(0, 2, days * 10)
    miss = np.where(label == 1, 0.7, 0.3)
    frame = pl.DataFrame({"label": label, "day": np.repeat(np.arange(days), 10), "champion": miss, "time": 0})
    frame = frame.with_columns(candidate=pl.col("label") + (0.3 + worse) * (1 - 2 * pl.col("label")))
    terms = TERMS.model_copy(update={"unit": "day_number"})
    return judge(frame.rename({"day": "day_number"}), task="binary", label="label", time="time", terms=terms).verdict


def test_harm_is_harm_a_better_one_is_good_enough_and_few_days_decide_nothing() -> None:
    assert judged(0.15) == "harm"
    assert judged(-0.05) == "good enough"
    assert judged(0.15, days=5) == judged(-0.05, days=5) == "undecided"


def logged(ids: str, scores: list[float], release: str, keys: str) -> pl.DataFrame:
    requests = [f'{{"key":"{key}"}}' for key in keys]
    at = list(range(len(ids)))
    return pl.DataFrame({"id": list(ids), "at": at, "score": scores, "request": requests, "release": [release] * len(ids)})


def test_of_a_request_asked_twice_the_last_answer_counts_and_without_outcome_none() -> None:
    log = logged("abc", [0.1, 0.2, 0.3], "old", "xxy")
    beside = logged("abc", [0.6, 0.7, 0.8], "new", "xxy")
    outcomes = pl.DataFrame({"key": ["x", "z"], "label": [1, 0]})
    paired = pairs(log, beside, outcomes, key=["key"], champion="old")
    assert paired.to_dicts() == [{"key": "x", "label": 1, "champion": 0.2, "candidate": 0.7}]


def test_what_a_canary_answered_is_paired_with_what_the_champion_would_have_answered() -> None:
    log = pl.concat([logged("a", [0.1], "old", "x"), logged("b", [0.9], "new", "y")])
    beside = pl.concat([logged("a", [0.8], "new", "x"), logged("b", [0.2], "old", "y")])
    paired = pairs(log, beside, pl.DataFrame({"key": ["x", "y"]}), key=["key"], champion="old").sort("key")
    assert paired.rows() == [("x", 0.1, 0.8), ("y", 0.2, 0.9)]
    assert pairs(log, log, pl.DataFrame({"key": ["x", "y"]}), key=["key"], champion="old").is_empty()


def of_classes(ids: str, scores: list[list[float] | None], release: str) -> pl.DataFrame:
    """A log of three classes, as the server writes it: without a score where a row failed."""
    log = logged(ids, [max(row) if row else float("nan") for row in scores], release, ids)
    columns = {f"score: {name}": [row[k] if row else None for row in scores] for k, name in enumerate(CLASSES)}
    return log.with_columns(pl.Series(name, values, dtype=pl.Float64) for name, values in columns.items())


def test_of_several_classes_the_loss_is_the_sum_of_the_squared_errors_of_each() -> None:
    log = of_classes("abc", [[0.2, 0.5, 0.3], [0.1, 0.1, 0.8], [1, 0, 0]], "old")
    beside = of_classes("abc", [[0.6, 0.2, 0.2], None, [0, 0, 1]], "new")
    outcomes = pl.DataFrame({"key": ["a", "b", "c"], "label": [0.0, 2.0, None], "day_number": [1, 2, 3], "time": 0})
    paired = pairs(log, beside, outcomes, key=["key"], champion="old", classes=CLASSES)
    terms = TERMS.model_copy(update={"unit": "day_number", "bound": 1.0})
    judged = judge(paired, task="multiclass", label="label", time="time", terms=terms, classes=CLASSES)
    first = (0.4**2 + 0.2**2 + 0.2**2) - (0.8**2 + 0.5**2 + 0.3**2)
    assert judged.rows == 2
    assert judged.bounds.mean == pytest.approx((first + 1.0) / 2), "a row that failed counts by the whole bound"
    without = log.drop("score: low", "score: high")
    assert pairs(without, beside, outcomes, key=["key"], champion="old", classes=CLASSES).height == 3


@pytest.mark.parametrize(("failing", "verdict"), [("candidate", "harm"), ("champion", "good enough")])
def test_what_one_of_the_two_cannot_score_counts_as_worse_by_the_whole_bound(failing: str, verdict: str) -> None:
    days = np.repeat(np.arange(40), 10)
    scores = {name: pl.lit(float("nan") if name == failing else 0.5) for name in ("champion", "candidate")}
    frame = pl.DataFrame({"label": days % 2, "day_number": days, "time": 0}).with_columns(**scores)
    judged = judge(frame, task="binary", label="label", time="time", terms=TERMS.model_copy(update={"unit": "day_number"}))
    assert judged.verdict == verdict
    assert judged.bounds.mean == pytest.approx(0.1 if failing == "candidate" else -0.1)


@pytest.fixture
def days(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Days:
    """A copy of the small home whose product declares a shadow."""
    copy = small_home(tmp_path_factory, tmp_path / "copy")
    copy.edit("smoke_rows: 20", "smoke_rows: 20, shadow: {unit: hour, max_harm: 0.02, bound: 0.2}")
    return copy


@pytest.fixture
def space(days: Days) -> Iterator[Workspace]:
    space = days.open()
    yield space
    space.ledger.close()


def candidate(space: Workspace) -> Manifest:
    """The release as of the second day: of the third, which it never saw, the outcomes are known."""
    paired = space.ledger.current("flights", "release", DAYS[1])
    assert paired
    return paired


def ask(days: Days, space: Workspace) -> None:
    """Ask a real server for every departure of the third day, and wait until the shadow scored them."""
    features = space.ledger.current("flights", "features", DAYS[2])
    assert features
    rows = space.snapshots.frame(features.snapshot, "requests.parquet")
    with ServerProcess([sys.executable, "-m", "ml_assets", "serve", "flights"], environ=days.environ) as server:
        answer = client.predict(server.base_url, as_requests(days.flights, rows))
        assert answer["release"] != candidate(space).facts["release"]
        until = time.monotonic() + 20
        while len(scored(space)) < rows.height and time.monotonic() < until:
            time.sleep(0.05)


def scored(space: Workspace) -> list[str]:
    return reader.read(space.settings.shadow_predictions("flights"))["id"].to_list()


def rescored(space: Workspace, score: Callable[[float], float]) -> None:
    """Let the candidate have scored otherwise."""
    for path in space.settings.shadow_predictions("flights").rglob("*.parquet"):
        frame = pl.read_parquet(path)
        frame.with_columns(pl.Series("score", [score(value) for value in frame["score"]])).write_parquet(path)


def ticked(days: Days, space: Workspace) -> str:
    """What the sensor says."""
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_sensor_context(instance, resources=resources_of(space.settings)) as context,
    ):
        skipped = sensor.build(days.flights)(context)
    assert isinstance(skipped, dg.SkipReason)
    return skipped.skip_message or ""


def pointer_now(space: Workspace) -> pointer.Pointer:
    pointer_ = pointer.read(space.settings.pointer("flights", "production"))
    assert pointer_
    return pointer_


@pytest.mark.long
def test_a_release_is_held_back_in_the_shadow_and_harm_ends_it_by_itself_with_the_evidence(days: Days, space: Workspace) -> None:
    product, release = days.flights, candidate(space)
    champion = pointer_now(space)
    assert "from now on" in (shadowing.hold_reason(space.lineage, space.endpoints, space.settings, product, release) or "")
    beside = pointer_now(space)
    assert (beside.release, beside.shadow and beside.shadow.bundle) == (champion.release, release.snapshot)
    assert (shadowing.hold_reason(space.lineage, space.endpoints, space.settings, product, release) or "").startswith(
        "in the shadow: "
    )
    ask(days, space)
    running = shadows.running(space.ledger, "flights")
    assert running
    assert shadowing.judged_now(space.lineage, space.settings, product, running).rows > 100
    rescored(space, lambda _: 1.0)
    assert ticked(days, space).startswith(f"{release.facts['release']}: harm")
    assert shadows.running(space.ledger, "flights") is None
    end = shadows.newest(space.ledger, "flights", "production")
    assert end
    assert end.body.evidence
    assert (end.body.outcome, end.body.by) == ("harm", shadowing.JUDGE)
    assert end.body.evidence["lower"] > 0.02
    assert pointer_now(space) == champion
    assert "ended with harm" in (shadowing.hold_reason(space.lineage, space.endpoints, space.settings, product, release) or "")


def test_a_release_that_is_good_enough_is_held_back_no_longer_but_by_a_declared_canary(days: Days, space: Workspace) -> None:
    product, release = days.flights, candidate(space)
    shadowing.hold_reason(space.lineage, space.endpoints, space.settings, product, release)
    running = shadows.running(space.ledger, "flights")
    assert running
    shadows.stop(space.ledger, running, outcome="good enough", evidence={}, by="test", reason="a test")
    with pytest.raises(shadows.ShadowRefused, match="ended already"):
        shadows.stop(space.ledger, running, outcome="harm", evidence={}, by="test", reason="too late")
    assert shadowing.hold_reason(space.lineage, space.endpoints, space.settings, product, release) is None
    days.edit("shadow: {", "canary: {unit: hour, max_harm: 0.02, bound: 0.2, share: 0.1}, shadow: {")
    assert "a canary that answers 0.1 of the requests from now on" in (
        shadowing.hold_reason(space.lineage, space.endpoints, space.settings, days.flights, release) or ""
    )
    beside = pointer_now(space).shadow
    assert (beside and beside.share, verify(space.settings).discrepancies) == (0.1, ())


def test_a_rollback_ends_a_shadow_and_the_record_stays_whole(days: Days, space: Workspace) -> None:
    product, release = days.flights, candidate(space)
    shadowing.hold_reason(space.lineage, space.endpoints, space.settings, product, release)
    assert verify(space.settings).discrepancies == ()
    space.endpoints.rollback("flights", to=None, by="Ada", reason="a test")
    assert pointer_now(space).shadow is None
    assert shadows.running(space.ledger, "flights") is None
