"""A release goes from its shadow over a canary to answering, on the real path; a canary that does harm is taken off by itself."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from ml_assets.core.release.bundle import as_requests
from ml_assets.services import shadow_trials as shadowing
from ml_assets.services.verify.home import verify
from ml_assets.serving.client import http_client as client
from ml_assets.serving.client.server_process import ServerProcess
from ml_assets.serving.log import reader
from resources.dagster_resources import resources_of
from resources.endpoints import shadows
from sensors import shadow as sensor
from tests.serving.test_shadow import eventually
from tests.support.command_line import Days
from tests.support.homes.small_home import DAYS, MORE_DAYS, small_home

pytestmark = pytest.mark.timeout(900)
NEXT, LAST = "2013-01-04", "2013-01-05"
TERMS = "unit: hour, max_harm: 0.15, bound: 0.2"
CANARY = f"canary: {{{TERMS}, share: 0.5}}"


@pytest.fixture
def days(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Days:
    """A copy of the small home."""
    return small_home(tmp_path_factory, tmp_path / "copy")


@contextmanager
def served(days: Days) -> Iterator[str]:
    """A server that promotions find on the product's port."""
    with ServerProcess([sys.executable, "-m", "ml_assets", "serve", "flights"], environ=days.environ) as server:
        days.edit(f"port: {days.flights.endpoint.port}", f"port: {server.base_url.rpartition(':')[2]}")
        yield server.base_url


def departures(days: Days, day: str) -> pl.DataFrame:
    """The requests of a day that came in."""
    space = days.open()
    features = space.ledger.current("flights", "features", day)
    assert features
    return space.snapshots.frame(features.snapshot, "requests.parquet")


def ask(days: Days, base_url: str, day: str) -> set[str]:
    """Ask for each departure of the day by itself; the releases that answered, once the other scored them too."""
    before = scored(days)
    requests = as_requests(days.flights, departures(days, day))
    releases = {client.predict(base_url, [request])["release"] for request in requests}
    eventually(lambda: scored(days) == before + len(requests))
    return releases


def scored(days: Days) -> int:
    return reader.read(days.open().settings.shadow_predictions("flights")).height


def tick(days: Days) -> dg.RunRequest | dg.SkipReason:
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_sensor_context(instance, resources=resources_of(days.open().settings)) as context,
    ):
        message = sensor.build(days.flights)(context)
    assert isinstance(message, dg.RunRequest | dg.SkipReason)
    return message


def run(days: Days, day: str) -> None:
    done = days.ml_assets("run", "flights", "--partition", day)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.long
def test_a_release_passes_its_shadow_then_its_canary_and_then_answers(days: Days) -> None:
    days.edit("smoke_rows: 20", f"smoke_rows: 20, shadow: {{{TERMS}}}, {CANARY}")
    days.edit(*MORE_DAYS)
    for day in (NEXT, LAST):
        days.deliver(day)
    with served(days) as base_url:
        champion = client.release(base_url)["release"]
        run(days, NEXT)
        released = days.open().ledger.current("flights", "release", NEXT)
        assert released
        candidate = released.facts["release"]
        assert client.release(base_url)["shadow"]["release"] == candidate
        run(days, LAST)
        assert client.release(base_url)["shadow"]["release"] == candidate, "the newer one waits"
        assert ask(days, base_url, LAST) == {champion}
        payload = json.loads(days.ml_assets("shadow", "flights", "--json").stdout)
        assert (payload["release"], payload["share"], payload["found"]["verdict"]) == (candidate, 0.0, "good enough")
        wanted = tick(days)
        assert isinstance(wanted, dg.RunRequest)
        assert wanted.partition_key == NEXT
        run(days, NEXT)
        assert client.release(base_url)["shadow"]["share"] == 0.5
        assert f"{candidate} is a canary that answers 0.5" in days.ml_assets("shadow", "flights").stdout
        assert ask(days, base_url, LAST) == {champion, candidate}
        wanted = tick(days)
        assert isinstance(wanted, dg.RunRequest)
        run(days, NEXT)
        now = client.release(base_url)
        assert (now["release"], now["shadow"]) == (candidate, None)
    assert verify(days.open().settings).discrepancies == ()


@pytest.mark.long
def test_harm_takes_a_canary_off_by_itself_and_the_running_server_answers_with_the_champion_alone(days: Days) -> None:
    days.edit("smoke_rows: 20", f"smoke_rows: 20, {CANARY.replace('0.15', '0.02')}")
    space = days.open()
    release = space.ledger.current("flights", "release", DAYS[1])
    assert release
    with served(days) as base_url:
        champion = client.release(base_url)["release"]
        assert "a canary that answers 0.5 of the requests from now on" in (
            shadowing.hold_reason(space.lineage, space.endpoints, space.settings, days.flights, release) or ""
        )
        assert ask(days, base_url, DAYS[2]) == {champion, release.facts["release"]}
        for folder in (space.settings.predictions("flights"), space.settings.shadow_predictions("flights")):
            for path in folder.rglob("*.parquet"):
                worst = pl.when(pl.col("release") == champion).then("score").otherwise(1.0)
                pl.read_parquet(path).with_columns(score=worst).write_parquet(path)
        message = tick(days)
        assert isinstance(message, dg.SkipReason)
        assert f"{release.facts['release']}: harm" in (message.skip_message or "")
        assert client.release(base_url)["shadow"] is None
        requests = as_requests(days.flights, departures(days, DAYS[2]))
        assert {client.predict(base_url, [request])["release"] for request in requests[:40]} == {champion}
    end = shadows.newest(space.ledger, "flights", "production")
    assert end
    assert (end.body.outcome, end.body.share, end.body.by) == ("harm", 0.5, shadowing.JUDGE)
    assert "its canary ended with harm" in (
        shadowing.hold_reason(space.lineage, space.endpoints, space.settings, days.flights, release) or ""
    )
    refused = days.ml_assets("shadow", "flights", "--stop", "--reason", "a test")
    assert refused.returncode == 1
    assert "no release is on trial, neither as a shadow nor as a canary" in refused.stderr
