"""A release is reproduced whose labels came in a table of their own, or whose fold a person reopened; lineage names both."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ml_assets.cli.audit.reproduce import reproduce
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.services.folds import reopen
from ml_assets.services.release_status import overrule
from ml_assets.services.review.walk import Walker, walk
from resources.settings import settings
from tests.support.homes.apart import apart, deliver_orders, deliver_returns, returns
from tests.support.homes.loans import KEYS, deliver, loans, rows
from tests.support.homes.path_homes import Home, blank_pages
from tests.support.homes.shop import DAYS

pytestmark = pytest.mark.long
FIRST, SECOND, *_ = DAYS


def again(home: Home, partition: str) -> dict[str, Any]:
    return reproduce(home.space, home.get("release", partition))


def lineage(home: Home, partition: str) -> str:
    name = home.get("release", partition).facts["release"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ML_ASSETS_", "DAGSTER_"))}
    command = [sys.executable, "-m", "ml_assets", "lineage", name]
    done = subprocess.run(
        command, env=kept | home.space.settings.environ(), capture_output=True, text=True, timeout=300, check=True
    )
    return done.stdout


@pytest.fixture(scope="module")
def came(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Two days whose outcomes came apart, of which the second's candidate serves."""
    home = apart(tmp_path_factory.mktemp("apart"))
    deliver_orders(home, FIRST, SECOND)
    for day in (FIRST, SECOND):
        deliver_returns(home, day)
    with blank_pages():
        for day in (FIRST, SECOND):
            assert home.run(day).success
    return home


def test_a_change_is_walked_where_labels_come_apart(came: Home, tmp_path: Path) -> None:
    """What `ml-assets ci` does on each side."""
    folders = {"ML_ASSETS_HOME": str(tmp_path / "own"), "ML_ASSETS_UPSTREAM": str(came.folder)}
    space = Workspace(settings({**folders, "ML_ASSETS_PRODUCTS": str(came.declared.parent)}))
    assert space.lineage.upstream is not None
    model = came.product.model.model_copy(update={"depth": 2})
    changed = came.product.model_copy(update={"model": model})
    walked = walk(Walker(space.lineage, space.lineage.upstream, space.dbt, changed), [SECOND])
    assert [(window.partition, window.trained) for window in walked.walked.windows] == [(SECOND, (FIRST,))]
    scored = came.space.snapshots.frame(came.get("evaluation", SECOND).snapshot, "scores.parquet")
    assert set(walked.rows.filter(walked.rows["came_back"].is_not_null())["id"]) == set(scored["id"])
    assert not [check for check in walked.walked.checks if not check.passed and check.severity == "ERROR"]


def test_a_release_whose_labels_come_apart_is_rebuilt_from_its_delivered_bytes(came: Home) -> None:
    home = came
    deliver_returns(home, FIRST, returns(FIRST, after="2024-05-01"))  # what came since does not count
    outcome = again(home, SECOND)
    assert outcome["equal"], json.dumps(outcome, indent=1)
    rebuilt = {(row["stage"], row["partition"]) for row in outcome["stages"]}
    assert {("outcomes", FIRST), ("outcomes", SECOND), ("features", SECOND), ("model", SECOND)} <= rebuilt
    assert "landing/shop/returns" in lineage(home, SECOND)


def test_a_release_of_a_reopened_fold_is_rebuilt_with_the_decision(tmp_path: Path) -> None:
    home = loans(tmp_path, ("folds: 4", "folds: 1, new_fold: 30"))
    first, second, *_ = KEYS
    with blank_pages():
        for key in (first, second):
            deliver(home, key, table=rows(first))
            assert home.run(key).success
        reopen(home.space.ledger, home.product, second, by="ana", reason="no new customers")
        assert home.run(second).success
        overrule(home.space.lineage, home.product, second, by="ana", reason="I looked at it", via="cli")
        assert home.run(second).success
    outcome = again(home, second)
    assert outcome["equal"], json.dumps(outcome, indent=1)
    assert "decision/loans/reopening 0002  a person's decision, ledger entry" in lineage(home, second)
