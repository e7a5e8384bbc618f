"""`gates mutate` on a regression: the same sabotage, told by errors instead of ranks."""

import json
from collections.abc import Iterator

import pytest

from ml_assets.cli.gates.mutate import mutants
from tests.support.homes.gates_home import invoke
from tests.support.homes.path_homes import Home
from tests.support.homes.shop import DAYS, deliver, shop

DATA = ("raw", "dataset", "quarantine", "features")
DECIDED = (*DATA, "model", "evaluation", "release")
FIRST, SECOND, THIRD = DAYS[:3]
EDITS = (
    (r"task: binary", "task: regression"),
    (r"decision: .*\n\n", ""),
    (r"alpha: .*passes in tests", "alpha: 0.1, looks: 2, ships: 1"),
    (r"metric: roc_auc", "metric: mae"),
    (r"name: floor, prove: .*\}", "name: ceiling, prove: rmse(candidate) < 0.45}"),
    (r"(?s)(\n +- \{name: ceiling[^\n]*)", r"\1\n    - {name: not_worse, prove: rmse(candidate) - rmse(champion) < 0.1}"),
)
"""The shop's orders that come back, as a number from 0 to 1."""


@pytest.fixture(scope="module")
def regression(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    home = shop(tmp_path_factory.mktemp("regression"), *EDITS)
    for day in (FIRST, SECOND, THIRD):
        deliver(home, day, count=200)
        run = home.run(day, only=DATA if day == FIRST else DECIDED)
        assert run.success, run.errors
        if day == SECOND:
            moved = {"environment": "production", "by": "a test", "reason": "first", "expected": None, "is_proven": True}
            home.space.endpoints.move("promotion", home.get("release", day), **moved)
    yield home
    home.close()


@pytest.mark.long
def test_the_mutants_of_a_regression_are_caught(regression: Home) -> None:
    done = invoke(regression, "mutate", "shop", "--json", "--draws", "2")
    report = json.loads(done.stdout)
    assert (report["partition"], report["control"]) == (THIRD, "ACCEPT")
    fates = {mutant["mutant"]: mutant["fate"] for mutant in report["mutants"]}
    assert fates.keys() == mutants().keys()
    for name in ("shuffled labels", "constant scores", "inverted scores", "misaligned scores", "NaN scores"):
        assert fates[name] == "caught", report["mutants"]
    assert {row["claim"] for row in report["pairs"]} == {"ceiling", "not_worse", "verdict"}
