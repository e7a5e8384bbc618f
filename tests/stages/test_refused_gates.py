"""Gates that keep no minimal standard, by their own verdicts, are refused where a run of the path would begin; never without a
history, and never where the block says why."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from ml_assets.core.lineage.manifests import Manifest
from ml_assets.services.automation.product_notices import causes
from ml_assets.services.judging.gate_standards import note_verdicts, refused_by_note, refused_gates
from resources.dagster_resources import resources_of
from resources.ledger.ledger import Ledger
from sensors import new_data, retrain, stale
from tests.support.homes.gates_home import invoke_command
from tests.support.homes.path_homes import Home
from tests.support.homes.shop import DAYS, deliver, shop
from tests.support.records import JUDGED, manifest
from tests.support.repository import team

FIRST, SECOND = DAYS[:2]
DECIDED = ("raw", "dataset", "quarantine", "features", "model", "evaluation", "release")
WORDS = "WRONG UNIT: rows of one hour are alike: by hour the variance of floor is 4.0 times"
EXCUSED = (r"(gates:\n)", r"\1  exceptions: {unit: each row is a customer of its own}\n")


def judged_by_row(product: str, partition: str) -> Manifest:
    """An evaluation whose rows turned out to be alike by hour."""
    design = {"unit": "hour", "claim": "floor", "effect": 4.0, "low": 2.5}
    verdict = {"decision": "INCONCLUSIVE", "unit": "row", "design": design}
    evaluation = manifest("judged", stage="evaluation", partition=partition, facts={**JUDGED, "verdict": verdict})
    return replace(evaluation, recipe=replace(evaluation.recipe, product=product))


@pytest.fixture
def refused(tmp_path: Path) -> Iterator[Home]:
    """Two delivered days, and a verdict that says that rows are no units."""
    own_home = shop(tmp_path, (r"(gates:\n)", r"landing: {settle: 0}\n\1"))
    deliver(own_home, FIRST, SECOND)
    own_home.space.ledger.publish(judged_by_row("shop", FIRST), run="r")
    yield own_home
    own_home.close()


def test_the_command_that_runs_the_path_refuses_and_computes_nothing(refused: Home) -> None:
    before = refused.counts()
    done = invoke_command(refused, "run", "shop", "--partition", SECOND)
    assert (done.exit_code, refused.counts()) == (1, before)
    assert WORDS in str(done.exception)
    assert "change `gates` of shop, then `ml-assets plan shop` says whether they are accepted" in str(done.exception)
    planned = invoke_command(refused, "plan", "shop")
    assert planned.exit_code == 1
    assert f"shop: gates: {WORDS}" in planned.output
    assert WORDS in str(planned.exception)


def test_a_block_without_a_history_or_with_a_reason_is_not_refused(refused: Home, tmp_path: Path) -> None:
    ledger, product = refused.space.ledger, refused.product
    assert WORDS in refused_gates(ledger, product)
    with closing(Ledger(f"sqlite:///{tmp_path / 'new.db'}")) as without:
        assert refused_gates(without, product) == ""
    assert refused_by_note(product, refused.space.settings.cache) == ""
    refused.edit("product.yaml", EXCUSED)
    assert refused_gates(ledger, refused.product) == ""


def test_no_sensor_requests_a_run_and_people_are_told(refused: Home) -> None:
    product, settings = refused.product, refused.space.settings
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_sensor_context(instance=instance, resources=resources_of(settings)) as context,
    ):
        skipped = new_data.build(product)(context)
        assert isinstance(skipped, dg.SkipReason)
        assert WORDS in (skipped.skip_message or "")
        assert "until then 2 partitions wait" in (skipped.skip_message or "")
        (notice,) = [n for n in causes(refused.space.lineage, refused.space.landing, settings, product) if WORDS in n.why]
        assert (notice.event, notice.severity, notice.command) == ("waiting", "error", "ml-assets plan shop")
        refused.edit("product.yaml", EXCUSED)
        launched = new_data.build(refused.product)(context)
        assert isinstance(launched, dg.SensorResult)


def test_what_a_code_location_knows_without_a_ledger_follows_the_block(refused: Home) -> None:
    cache = refused.space.settings.cache
    note_verdicts(refused.space.ledger, refused.product, cache)
    assert refused_by_note(refused.product, cache) == refused_gates(refused.space.ledger, refused.product) != ""
    refused.edit("product.yaml", EXCUSED)
    assert refused_by_note(refused.product, cache) == ""
    (cache / "verdicts" / "shop.msgpack").write_bytes(b"[{")
    assert refused_by_note(refused.product, cache) == "", "a cache can be lost"


@pytest.mark.long
def test_a_run_that_was_begun_by_hand_charges_no_look(refused: Home) -> None:
    assert refused.run(FIRST, only=DECIDED[:4]).success
    run = refused.run(SECOND, only=DECIDED)
    assert not run.success
    assert WORDS in run.errors["evaluation"]
    assert "look" not in refused.counts()
    refused.edit("product.yaml", (r"iterations: \d+", "iterations: 7"))
    resources = resources_of(refused.space.settings)
    with dg.DagsterInstance.ephemeral() as instance, dg.build_sensor_context(instance=instance, resources=resources) as context:
        skipped = stale.build(refused.product, None)(context)
    assert isinstance(skipped, dg.SkipReason)
    assert WORDS in (skipped.skip_message or ""), "nor does a merge begin one"
    refused.edit("product.yaml", EXCUSED)
    again = refused.run(SECOND, only=DECIDED)
    assert again.success, again.errors
    assert refused.counts()["look"] == 1
    assert (refused.space.settings.cache / "verdicts" / "shop.msgpack").is_file(), "each verdict is noted"


@pytest.mark.long
def test_validating_the_definitions_refuses_and_a_code_location_serves_on(refused: Home) -> None:
    settings = refused.space.settings
    note_verdicts(refused.space.ledger, refused.product, settings.cache)
    program = "from ml_assets.definitions import defs; print(*(sensor.name for sensor in defs().sensors))"
    command = [sys.executable, "-c", program]
    environ = os.environ | settings.environ() | {"ML_ASSETS_PRODUCTS": str(refused.declared.parent)}
    served = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    assert "shop_new_data" in served.stdout
    validated = environ | {"DAGSTER_IS_DEFS_VALIDATION_CLI": "1"}
    done = subprocess.run(command, env=validated, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert WORDS in done.stderr


@pytest.mark.long
def test_a_change_of_such_a_product_is_rejected(tmp_path: Path) -> None:
    own = team(tmp_path)
    own.write("product.yaml", "unit: day", "unit: row")
    with closing(Ledger(f"sqlite:///{own.home / 'ledger.db'}")) as ledger:
        ledger.publish(judged_by_row("trains", "2013-01"), run="r")
    answer = own.ci("--without-models")
    assert any(WORDS in reason for comparison in answer.report["comparisons"] for reason in comparison["reasons"])


@pytest.mark.long
def test_no_training_is_due_for_refused_gates(refused: Home) -> None:
    refused.edit("product.yaml", ("title:", "retrain: {cool_down: 1}\ntitle:"))
    for day in (FIRST, SECOND):
        assert refused.run(day, only=DECIDED[:4]).success
    resources = resources_of(refused.space.settings)
    with dg.DagsterInstance.ephemeral() as instance, dg.build_sensor_context(instance=instance, resources=resources) as context:
        skipped = retrain.build(refused.product)(context)
        assert isinstance(skipped, dg.SkipReason)
        assert WORDS in (skipped.skip_message or "")
        refused.edit("product.yaml", EXCUSED)
        assert isinstance(retrain.build(refused.product)(context), dg.RunRequest)
