"""A release of several classes over HTTP: what it answers, the shadow next to it, and what its answers turned out to be worth."""

import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import log_loss

from ml_assets.core.lineage.facts import RealisedFacts
from ml_assets.core.model.scoring import load_model
from ml_assets.core.release.bundle import as_requests
from ml_assets.services.outcomes.served import ENDPOINT
from ml_assets.services.shadow_trials import judged_now
from ml_assets.serving.client import http_client as client
from ml_assets.serving.client.server_process import ServerProcess
from ml_assets.serving.log import reader
from resources.endpoints import shadows
from tests.support.homes.classes import CLASSES, classes_home, deliver_classes
from tests.support.homes.path_homes import Home, blank_pages
from tests.support.homes.shop import DAYS

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]
WEIGHTS = [1, 1, 5]
EDITS = (
    ("threads: 1", f"threads: 1, params: {{class_weights: {WEIGHTS}}}"),
    ("smoke_rows: 3", "smoke_rows: 3, shadow: {unit: hour, max_harm: 0.5, bound: 2}"),
)
Answers = list[dict[str, Any]]


@pytest.fixture(scope="module")
def served_classes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Home, Answers]]:
    """The second day's release serves and the third's is its shadow; a real server was asked for each order of the fourth day,
    whose outcomes came after."""
    home = classes_home(tmp_path_factory.mktemp("served"), *EDITS)
    deliver_classes(home, *DAYS)
    with blank_pages():
        for day in DAYS[:3]:
            run = home.run(day)
            assert run.success, run.errors
        data = ("raw", "dataset", "quarantine", "features")
        assert home.run(DAYS[3], only=data).success
        answers = ask(home)
        run = home.run(DAYS[3], only=(*data, "predictions", "outcomes", "realised"))
    assert run.success, run.errors
    yield home, answers
    home.close()


def ask(home: Home) -> Answers:
    requests = as_requests(home.product, orders(home))
    with ServerProcess([sys.executable, "-m", "ml_assets", "serve", "shop"], environ=home.space.settings.environ()) as server:
        answer = client.predict(server.base_url, requests)
        until = time.monotonic() + 20
        while len(beside(home)) < len(requests) and time.monotonic() < until:
            time.sleep(0.05)
    answers: Answers = answer["predictions"]
    return answers


def orders(home: Home) -> pl.DataFrame:
    """The requests of the fourth day."""
    return home.space.snapshots.frame(home.get("features", DAYS[3]).snapshot, "requests.parquet")


def beside(home: Home) -> pl.DataFrame:
    """The log of the shadow."""
    return reader.read(home.space.settings.shadow_predictions("shop"))


def labels(home: Home) -> np.ndarray:
    known = home.space.snapshots.frame(home.get("outcomes", DAYS[3]).snapshot, "labels.parquet")
    return orders(home).select("id").join(known, on="id", how="left", maintain_order="left")["came_back"].to_numpy()


def probabilities(answers: Answers) -> np.ndarray:
    return np.array([[answer["probabilities"][name] for name in CLASSES] for answer in answers])


def test_class_weights_of_product_yaml_are_in_the_model_whose_scores_are_served(served_classes: tuple[Home, Answers]) -> None:
    home, answers = served_classes
    release = home.get("release", DAYS[1])
    model = load_model(home.space.snapshots.read(release.snapshot, "model.cbm"), task="multiclass")
    assert model.get_all_params()["class_weights"] == WEIGHTS
    frame = home.space.snapshots.frame(home.get("features", DAYS[3]).snapshot, "features.parquet")
    rows = orders(home).select("id").join(frame, on="id", how="left", maintain_order="left")
    assert np.array_equal(model.predict_proba(rows.select(model.feature_names_).to_pandas()), probabilities(answers))


def test_the_shadow_scores_each_class_and_is_judged_by_the_outcomes(served_classes: tuple[Home, Answers]) -> None:
    home, answers = served_classes
    running = shadows.running(home.space.ledger, "shop")
    assert running
    judged = judged_now(home.space.lineage, home.space.settings, home.product, running)
    assert judged.rows == len(answers)
    by_id = beside(home).rows_by_key("id", named=True, unique=True)
    shadowed = np.array([[by_id[answer["id"]][f"score: {name}"] for name in CLASSES] for answer in answers])
    truth = np.eye(3)[labels(home).astype(int)]
    losses = [((scores - truth) ** 2).sum(axis=1) for scores in (shadowed, probabilities(answers))]
    hours = pl.DataFrame({"worse": losses[0] - losses[1], "hour": orders(home)["placed_at"].dt.truncate("1h")})
    by_hour = hours.group_by("hour").agg(pl.col("worse").mean())["worse"]
    assert judged.bounds.mean == pytest.approx(by_hour.mean(), abs=1e-9)


def test_what_served_answers_turned_out_to_be_worth_is_that_of_scikit_learn(served_classes: tuple[Home, Answers]) -> None:
    home, answers = served_classes
    lines = {line.source: line for line in RealisedFacts.of(home.get("realised", DAYS[3])).lines}
    served = lines[ENDPOINT]
    assert (served.rows, served.known) == (len(answers), len(answers))
    assert served.metrics["log_loss"].value == pytest.approx(log_loss(labels(home), probabilities(answers)), abs=1e-9)
