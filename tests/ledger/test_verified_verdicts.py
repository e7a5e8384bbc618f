"""`ml-assets verify` judges again what let a release into production."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from ml_assets.cli import cli
from ml_assets.services.verify import verdicts
from resources.store.snapshots import Snapshots
from tests.support.homes.path_homes import Home
from tests.support.homes.shop import DAYS, deliver, shop

DATA = ("raw", "dataset", "quarantine", "features")
FIRST, SECOND = DAYS[:2]


@pytest.fixture(scope="module")
def promoted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """The shop, whose second day's release serves."""
    home = shop(tmp_path_factory.mktemp("promoted"))
    deliver(home, FIRST, SECOND)
    assert home.run(FIRST, only=DATA).success
    assert home.run(SECOND, only=(*DATA, "model", "evaluation", "release")).success
    home.serve(SECOND)
    yield home
    home.close()


def verified(at: Home, *options: str) -> Result:
    at.space.ledger.close()
    folders = {"ML_ASSETS_HOME": str(at.folder), "ML_ASSETS_PRODUCTS": str(at.declared.parent)}
    return CliRunner().invoke(cli, ["verify", *options], env=folders)


def test_a_verdict_that_its_scores_bear_out_is_counted(promoted: Home) -> None:
    verified_home = verified(promoted)
    assert verified_home.exit_code == 0, verified_home.output
    assert "1 verdicts: everything is as it was written" in verified_home.stdout


def test_a_verdict_that_was_judged_again_is_not_asked_by_the_next_look_at_what_is_new(promoted: Home) -> None:
    assert "1 verdicts: everything is as it was written" in verified(promoted, "--new").stdout
    assert "0 verdicts since entry" in verified(promoted, "--new").stdout


def turn_scores_around(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the stored scores be those of a model that is always wrong."""
    read = Snapshots.frame

    def turned(snapshots: Snapshots, digest: str, name: str) -> pl.DataFrame:
        frame = read(snapshots, digest, name)
        return frame.with_columns(candidate=1 - pl.col("came_back").cast(pl.Float64)) if name == "scores.parquet" else frame

    monkeypatch.setattr(Snapshots, "frame", turned)


@pytest.mark.long
def test_a_release_whose_scores_say_otherwise_is_not_promoted_and_the_next_step_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = shop(tmp_path)
    deliver(home, FIRST, SECOND)
    assert home.run(FIRST, only=DATA).success
    assert home.run(SECOND, only=(*DATA, "model", "evaluation", "release", "endpoint/staging")).success
    with monkeypatch.context() as forged:
        turn_scores_around(forged)
        refused = home.run("", only=["endpoint/production"]).errors["endpoint/production"]
    assert "may not serve: its stored scores give REJECT, not ACCEPT: floor: " in refused
    assert "`ml-assets verify` says what was changed" in refused
    assert home.serving() is None
    assert home.run("", only=["endpoint/production"]).success, "with the scores as they were it may"
    home.close()


def test_a_promotion_whose_scores_say_otherwise_is_found(promoted: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    turn_scores_around(monkeypatch)
    verified_home = verified(promoted)
    assert verified_home.exit_code == 1
    assert f"verdict of shop {SECOND} let release {SECOND} into production, and its stored scores give " in verified_home.stdout
    assert f"`ml-assets recall shop {SECOND}` takes it back" in verified_home.stdout


def test_the_gates_of_then_decide_and_not_those_of_now(promoted: Home) -> None:
    promoted.edit("product.yaml", (r"roc_auc\(candidate\) > 0\.05", "roc_auc(candidate) > 0.9999"))
    verified_home = verified(promoted)
    promoted.edit("product.yaml", (r"roc_auc\(candidate\) > 0\.9999", "roc_auc(candidate) > 0.05"))
    assert verified_home.exit_code == 0, verified_home.output


def test_a_verdict_of_other_code_is_not_judged_by_this(promoted: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "stage_code", lambda *_: "other")
    verified_home = verified(promoted)
    assert verified_home.exit_code == 0
    assert f"note: verdict of shop {SECOND} was given by other code than this, and is not judged again" in verified_home.stdout
    assert "0 verdicts" in verified_home.stdout
