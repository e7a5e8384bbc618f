"""A past that is played is judged by the product's gates: the same verdicts as those that production recorded."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from ml_assets.cli import cli
from ml_assets.core.lineage.facts import EvaluationFacts
from ml_assets.core.lineage.verdict_facts import VerdictFacts
from ml_assets.core.outcomes.played_gates import GateQuestion, Release
from ml_assets.services.outcomes.past_models import past_models
from ml_assets.services.outcomes.played_policies import NothingToPlay, completed, pasts, stored_partitions
from ml_assets.spec.labels import LabelsSpec
from tests.support.homes.flights_months import MONTHS
from tests.support.homes.gates_home import gates_home
from tests.support.homes.path_homes import Home
from tests.support.homes.walked_home import walked_shop

__all__ = ["gates_home"]
WORST = {"worst_low": None, "worst_high": None, "unknown": 0, "message": ""}
"""What the rows without a label could make of a mean, which a played past does not ask."""


def recorded(home: Home, month: str) -> VerdictFacts:
    return EvaluationFacts.of(home.get("evaluation", month)).verdict


def test_the_gates_of_a_played_past_say_what_was_recorded(gates_home: Home) -> None:
    windows = stored_partitions(gates_home.space.lineage, gates_home.product)
    assert [*windows.keys] == [*MONTHS]
    (models,) = past_models(windows, [1.0], tell=lambda _: None)
    stored = gates_home.space.snapshots.frame(gates_home.get("evaluation", MONTHS[2]).snapshot, "scores.parquet")
    is_known, second = windows.served[2]["is_late"].is_not_null().to_numpy(), Release(1, 1)
    assert (models.scores[2, 2][is_known] == stored["candidate"].to_numpy()).all(), "the candidate is the one that was trained"
    assert (models.own[second, 2][is_known] == stored["champion"].to_numpy()).all(), "by the lookups that it came with"
    assert (models.own[second, 2] != models.scores[1, 2]).any(), "those of the third month would give other scores"
    first = models.judge(GateQuestion(1, 1, None, None))
    verdict, known = models.judge(GateQuestion(2, 2, second, second, (first,))), recorded(gates_home, MONTHS[2])
    assert replace(first, claims=()) == replace(recorded(gates_home, MONTHS[1]), claims=())
    assert replace(verdict, claims=()) == replace(known, claims=())
    assert [replace(claim, **WORST) for claim in verdict.claims] == [replace(claim, **WORST) for claim in known.claims]


def test_a_past_that_is_too_short_says_how_much_it_takes(gates_home: Home) -> None:
    windows = stored_partitions(gates_home.space.lineage, gates_home.product)
    with pytest.raises(NothingToPlay, match=r"3 partitions are stored, and a model could have served 1 of them; 2 are needed"):
        pasts(windows, (), replicates=1, say=lambda _: None)


def test_outcomes_count_from_when_they_are_complete(gates_home: Home) -> None:
    product = gates_home.product
    assert completed(product, MONTHS).tolist() == [0, 1, 2]
    late = product.model_copy(update={"labels": LabelsSpec(matures="30d")})
    assert completed(late, MONTHS).tolist() == [-1, -1, 1], "those of January on 2 March, of February on 30 March"


@pytest.mark.long
def test_a_backtest_plays_the_stored_days_and_prints_each_policy(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    team = walked_shop(tmp_path_factory, tmp_path / "shop")
    (tmp_path / "policies.yaml").write_text("policies: {by_loss: {on: [loss], max_drop: 0.9}}\n")
    environ = {"ML_ASSETS_HOME": str(team.home), "ML_ASSETS_PRODUCTS": str(team.product.parent)}
    command = ["backtest", "shop", "--policy", str(tmp_path / "policies.yaml"), "--replicates", "2", "--schedules", "1"]
    done = CliRunner().invoke(cli, [*command, "--json"], env=environ)
    assert done.exit_code == 0, done.output
    present, by_loss = json.loads(done.stdout)
    assert [row["policy"] for row in (present, by_loss)] == ["present", "by_loss"], "two trainings of two possible are no chance"
    first, second = present["replicates"]
    assert (first["trainings"], first["partitions"]) == (2, 2), "two of four days are served: one trains and one is tested first"
    assert first["later"] != second["later"], "each replicate has its own rows"
    assert by_loss["replicates"][0]["trainings"] == 0
    short = CliRunner().invoke(cli, command, env={**environ, "ML_ASSETS_HOME": str(tmp_path / "empty")})
    assert short.exit_code == 1
    assert "no features yet; `ml-assets run shop` makes them" in str(short.exception)
