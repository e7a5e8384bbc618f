"""A product of several classes, whose rows have weights and whose decisions have a worth, goes down the whole path and on."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.metrics import confusion_matrix, log_loss

from ml_assets.cli import cli
from ml_assets.core.metrics.score_columns import of_columns
from tests.support.homes.classes import CLASSES, MATRIX, classes_home, deliver_classes
from tests.support.homes.path_homes import Home
from tests.support.homes.shop import DAYS

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    own_home = classes_home(tmp_path_factory.mktemp("classes"))
    deliver_classes(own_home, *DAYS)
    for day in DAYS:
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
    assert walked.serving() is not None


def test_tune_backtest_and_outcomes_take_it(walked: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where tune writes its patch
    assert "log_loss" in command(walked, "tune", "shop")
    policies = tmp_path / "policies.yaml"
    policies.write_text("policies: {never: {on: [never]}}\n")
    played = command(walked, "backtest", "shop", "--policy", str(policies), "--replicates", "1")
    assert all(word in played for word in ("log_loss", "value", "never"))
    assert "log_loss" in command(walked, "outcomes", "shop")
