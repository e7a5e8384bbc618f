"""A product of several classes, whose rows have weights and whose decisions have a worth, goes down the whole path and on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.metrics import confusion_matrix, log_loss

from ml_assets.cli import cli
from ml_assets.core.metrics.score_columns import of_columns
from tests.support.homes.path_homes import Home
from tests.support.homes.shop import DAYS, Row, csv_bytes, rows, shop

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]
CLASSES = ("0", "1", "2")
MATRIX = [[1, -1, -2], [0, 1, -1], [-9, -1, 1]]
EDITS = (
    ("task: binary", "task: multiclass"),
    ("label: came_back", "label: came_back, classes: [0, 1, 2], weight: weight"),
    (r"decision: \{threshold: 0.5\}", "labels: {matures: 0d}"),
    ("positives: 2, negatives: 2", "per_class: 2"),
    (r"roc_auc\(candidate\) > 0.05", "log_loss(candidate) < 3"),
    ("metric: roc_auc, max_drop: 1", f"metric: log_loss, max_drop: 3, value: {{matrix: {MATRIX}}}"),
    (r"(?m)\Z", "\ntune: {trials: 2, windows: 1, space: {iterations: {low: 3, high: 9}}}\nci: {windows: 1}\n"),
)
CONTRACT = (
    (r"isin=\[0, 1\]", "isin=[0, 1, 2]"),
    (r"(    came_back: int[^\n]*\n)", '\\1    weight: float = pa.Field(ge=0, metadata={"known": "after"})\n'),
)


def class_of(number: int, row: Row) -> int:
    return min(int(row["amount"] // 34), 2)


def home(folder: Path) -> Home:
    labels = "select id, came_back, weight from {{ source('dataset', 'orders') }}\n"
    return shop(folder, *EDITS, contract=CONTRACT, dbt={"shop_labels.sql": labels})


def deliver(home: Home, day: str, **weights: Any) -> None:
    home.deliver(day, {"orders": csv_bytes(rows(day, came_back=class_of, **weights))})


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    own_home = home(tmp_path_factory.mktemp("classes"))
    for day in DAYS:
        deliver(own_home, day, weight=lambda number, row: 1.0 + number % 3)
        run = own_home.run(day)
        assert run.success, run.errors
    yield own_home
    own_home.close()


def command(home: Home, *arguments: str) -> str:
    done = CliRunner().invoke(cli, arguments, env=home.space.settings.environ())
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def test_its_metrics_and_the_worth_of_its_decisions_are_those_of_its_stored_scores(walked: Home) -> None:
    evaluation = walked.get("evaluation", DAYS[-1])
    scored = walked.space.snapshots.frame(evaluation.snapshot, "scores.parquet")
    scores, y = of_columns(scored, "candidate", CLASSES), scored["came_back"].to_numpy()
    metrics = evaluation.facts["metrics"]
    assert metrics["log_loss"]["candidate"]["value"] == pytest.approx(log_loss(y, scores), abs=1e-9)
    worth = (confusion_matrix(y, scores.argmax(axis=1), labels=[0, 1, 2]) * np.array(MATRIX)).sum() / len(y)
    assert metrics["value"]["candidate"]["value"] == pytest.approx(worth, abs=1e-9)
    assert walked.answering() is not None


def test_tune_backtest_and_outcomes_take_it(walked: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where tune writes its patch
    assert "log_loss" in command(walked, "tune", "shop")
    policies = tmp_path / "policies.yaml"
    policies.write_text("policies: {never: {on: [never]}}\n")
    played = command(walked, "backtest", "shop", "--policy", str(policies), "--replicates", "1")
    assert all(word in played for word in ("log_loss", "value", "never"))
    assert "log_loss" in command(walked, "outcomes", "shop")
