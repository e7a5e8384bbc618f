"""`ml-assets plan` on three small months of real flights: what it says is what the next runs then do."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from ml_assets.cli.path.plan import STALE
from ml_assets.core.lineage.stages import LEAVES
from tests.support import plans
from tests.support.homes.flights_months import MONTHS, NEXT, Months, copies, copy, month, months, with_column
from tests.support.homes.path_homes import Home

__all__ = ["copies", "copy", "months"]

Copies = Callable[[], Home]
FIRST, SECOND, THIRD = MONTHS
BELOW_RAW = {"dataset", "quarantine", "features"}


def planned(at: Home) -> set[tuple[str, str]]:
    return {(item.stage, item.partition) for item in plans.planned(at.space, at.product)}


def plan_of(at: Home, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit code and JSON of the command, in a process of its own."""
    command = [sys.executable, "-m", "ml_assets", "plan", "flights", "--json", *arguments]
    environ = {**os.environ, **at.space.settings.environ()}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode in (0, STALE), done.stderr
    plan: dict[str, Any] = json.loads(done.stdout)["flights"]
    return done.returncode, plan


@pytest.mark.long
def test_after_the_runs_there_is_nothing_to_do(months: Months) -> None:
    assert plan_of(months.home) == (0, {"run": [], "causes": {}, "gates": []})


def test_a_month_delivered_again_with_the_same_content_is_nothing_to_do(copy: Home) -> None:
    copy.deliver(SECOND, month(SECOND))
    assert planned(copy) == set()


@pytest.mark.long
def test_a_changed_month_names_itself_as_root_cause_and_its_run_makes_what_was_planned(copy: Home) -> None:
    tables = month(SECOND)
    copy.deliver(SECOND, {**tables, "flights": with_column(tables["flights"], "arr_delay", b"77", every=5)})
    code, plan = plan_of(copy)
    assert code == STALE
    assert set(plan["causes"]) == {f"flights {SECOND} redelivered with other content"}
    items = {(row["stage"], row["partition"]) for row in plan["run"]}
    assert items >= {(stage, SECOND) for stage in ("raw", *BELOW_RAW, "evaluation")}
    assert items >= {("features", THIRD), ("model", THIRD), ("evaluation", THIRD)}
    assert not items & {(stage, FIRST) for stage in ("raw", *BELOW_RAW)}
    run = copy.run(SECOND)
    assert {stage for stage, key in items if key == SECOND} <= run.computed | {"release", "monitoring", "predictions", *LEAVES}
    assert not {stage for stage, key in planned(copy) if key == SECOND} & {"raw", *BELOW_RAW, "evaluation"}


@pytest.mark.long
def test_a_changed_parameter_is_told_as_old_and_new(copy: Home) -> None:
    copy.edit("product.yaml", ("depth: 4", "depth: 3"))
    code, plan = plan_of(copy)
    assert code == STALE
    assert set(plan["causes"]) == {"product.yaml: model.depth 4 -> 3"}
    assert {row["stage"] for row in plan["run"]} == {"model", "evaluation", "report", "tracking"}


@pytest.mark.long
def test_a_comment_in_sql_or_contract_is_nothing_to_do_and_a_changed_word_is_named(copy: Home) -> None:
    contract = copy.declared / "contract.py"
    contract.write_text("# a comment\n" + contract.read_text())
    assert planned(copy) == set()
    copy.edit("contract.py", (r"max_quarantined\": 0\.\d+", 'max_quarantined": 0.5'))
    _, plan = plan_of(copy)
    assert any(cause.startswith("code of dataset changed: contract.py") for cause in plan["causes"])


@pytest.mark.long
def test_a_new_delivery_is_to_be_made(copy: Home) -> None:
    copy.deliver(NEXT, month(NEXT))
    code, plan = plan_of(copy, "--partition", NEXT)
    assert code == STALE
    assert {row["stage"] for row in plan["run"]} >= {"raw", *BELOW_RAW, "model", "evaluation"}
    assert set(plan["causes"]) == {f"flights {NEXT} newly delivered", f"weather {NEXT} newly delivered"}


def test_a_rollback_leaves_nothing_to_do(copy: Home) -> None:
    copy.space.endpoints.rollback("flights", to=None, by="test", reason="test")
    assert planned(copy) == set()
