"""Predictions of the real path, served and in batch: scored again offline they are the same, to the last bit, and explained."""

import io
import json
import math
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ml_assets.builders.predictions import MEMBER
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.model.scoring import load_model, score_frame
from ml_assets.core.release.bundle import as_requests
from ml_assets.serving.client import http_client as client
from ml_assets.serving.client.server_process import ServerProcess
from ml_assets.serving.log.prediction_id import prediction_id
from ml_assets.serving.log.reader import read
from ml_assets.serving.log.record import schema
from tests.support.command_line import Days
from tests.support.homes.small_home import DAYS, small_home

ROWS = 400
UNREACHABLE = {"ML_ASSETS_MLFLOW": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}


@dataclass(frozen=True)
class Served:
    """The last day's requests, answered by the release of that day, whose home has no Dagster, MLflow or landing left."""

    days: Days
    space: Workspace
    rows: pl.DataFrame
    answer: dict[str, Any]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    days = small_home(tmp_path_factory, tmp_path_factory.mktemp("served"))
    for folder in ("dagster", "mlflow", "landing", "cache"):
        shutil.rmtree(days.home / folder, ignore_errors=True)
    space = days.open()
    features = space.lineage.current(days.flights, "features", DAYS[-1])
    requests = as_requests(days.flights, space.snapshots.frame(features.snapshot, "requests.parquet").head(ROWS))
    argv = [sys.executable, "-m", "ml_assets", "serve", "flights"]
    with ServerProcess(argv, environ={**days.environ, **UNREACHABLE}) as server:
        answer = client.predict(server.base_url, requests)
    rows = space.snapshots.frame(features.snapshot, "features.parquet").head(ROWS)
    yield Served(days, space, rows, answer)
    space.ledger.close()


def logged_of(served: Served) -> pl.DataFrame:
    """What production logged; staging tried its releases too."""
    return read(served.space.settings.predictions("flights")).filter(pl.col("environment") == "production")


def offline(space: Workspace, bundle: str, rows: pl.DataFrame) -> list[float]:
    """The rows of the path's features, scored by the model of a bundle, without what serves it."""
    card = json.loads(space.snapshots.read(bundle, "bundle.json"))
    model = load_model(space.snapshots.path(bundle, "model.cbm"), task="binary")
    return list(score_frame(model, rows, card["features"]).tolist())


def test_logged_predictions_are_the_offline_scores_of_the_paths_features(served: Served) -> None:
    logged = logged_of(served)
    release = served.space.lineage.current(served.days.flights, "release", DAYS[-1])
    assert (logged.height, set(logged["bundle"])) == (served.rows.height, {release.snapshot})
    assert logged["id"].to_list() == [p["id"] for p in served.answer["predictions"]]
    expected = offline(served.space, release.snapshot, served.rows)
    assert logged["score"].to_list() == expected
    assert len(set(expected)) > 20
    assert served.rows.height > 200


def test_batch_predictions_have_the_logs_columns_and_the_offline_scores(served: Served) -> None:
    space, flights = served.space, served.days.flights
    current = space.lineage.current(flights, "predictions", DAYS[-1])
    champion = space.lineage.served(flights, before=DAYS[-1])
    features = space.lineage.current(flights, "features", DAYS[-1])
    assert champion is not None
    assert champion.partition == DAYS[-2]
    assert {source.id for source in space.lineage.inputs(current)} == {features.id, champion.id}
    frame = pl.read_parquet(io.BytesIO(space.snapshots.read(current.snapshot, MEMBER)))
    logged = logged_of(served)
    assert frame.columns == schema().names
    assert frame.schema == logged.schema
    assert (current.facts, set(frame["bundle"])) == (
        {"scored_by": champion.facts["release"], "rows": frame.height},
        {champion.snapshot},
    )
    rows = space.snapshots.frame(features.snapshot, "features.parquet")
    assert frame["score"].to_list() == offline(space, champion.snapshot, rows)
    assert frame["id"].n_unique() == frame.height > 200
    assert [json.loads(text) for text in frame["request"].head(ROWS)] == [json.loads(text) for text in logged["request"]]


def ml_assets(days: Days, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "ml_assets", *arguments]
    environ = {**days.environ, **UNREACHABLE}
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.long
def test_a_prediction_is_explained_without_registry_network_and_ledger(served: Served, tmp_path: Path) -> None:
    number, given = max(enumerate(served.answer["predictions"]), key=lambda numbered: numbered[1]["probability"])
    ledger = served.days.home / "ledger.db"
    aside = ledger.rename(tmp_path / "ledger.db")
    try:
        payload = json.loads(ml_assets(served.days, "explain", given["id"], "--json").stdout)
        text = ml_assets(served.days, "explain", given["id"]).stdout
    finally:
        ledger.unlink(missing_ok=True)
        shutil.move(aside, ledger)
    assert (payload["id"], payload["score"], payload["release"]) == (given["id"], given["probability"], served.answer["release"])
    assert (payload["decision"], payload["lineage"]) == (given["decision"], f"ml-assets lineage {given['id']}")
    assert payload["decision"] is (payload["score"] >= payload["threshold"])
    total = math.fsum([payload["expected"], *(share["contribution"] for share in payload["shares"])])
    assert abs(total - payload["raw_score"]) <= 1e-9
    assert abs(1 / (1 + math.exp(-total)) - payload["score"]) <= 1e-9
    row = served.rows.row(number, named=True)
    values = {share["feature"]: share["value"] for share in payload["shares"]}
    assert values == {name: row[name] for name in values}
    assert any(share["contribution"] for share in payload["shares"])
    assert text.startswith(
        f"flights {payload['release']} gave {payload['score']}; {str(payload['decision']).lower()} at threshold"
    )
    assert f"`ml-assets lineage {given['id']}`" in text


@pytest.mark.long
def test_what_cannot_be_explained_says_why(served: Served) -> None:
    unknown = prediction_id()
    for id_, why in (("2013", "is not a prediction id"), (unknown, f"holds {unknown}; its server may not have written it yet")):
        done = ml_assets(served.days, "explain", id_)
        assert done.returncode == 1
        assert why in done.stderr
        assert "Traceback" not in done.stderr
