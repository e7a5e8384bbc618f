"""`ml-assets reproduce` on three real months: the same again, and whatever differs is named."""

import json
import os
import subprocess
import sys
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner

from ml_assets.cli import cli
from ml_assets.cli.audit.reproduce import reproduce
from ml_assets.core.frames import parquet_bytes
from ml_assets.core.lineage import stages
from ml_assets.core.model import features
from ml_assets.definitions import build_defs
from ml_assets.services.claims import REPRODUCIBLE
from resources.dagster_assets import asset_key
from resources.dagster_resources import resources_of
from tests.support.homes.flights_months import MONTHS, copies, copy, month, months
from tests.support.homes.path_homes import QUIET, Home
from tests.support.records import damage

__all__ = ["copies", "copy", "months"]

FIRST, SECOND, THIRD = MONTHS


def again(at: Home, **how: Any) -> dict[str, Any]:
    return reproduce(at.space, at.get("release", THIRD), **how)


def causes(outcome: dict[str, Any]) -> dict[str, str]:
    return {cause["kind"]: cause["told"] for cause in outcome["first"]["causes"]}


@pytest.mark.long
def test_a_release_is_rebuilt_from_its_delivered_bytes_in_a_process_of_its_own(copy: Home) -> None:
    name = copy.get("release", THIRD).facts["release"]
    before = (copy.counts(), sorted(copy.space.snapshots.blobs.digests()))
    copy.deliver(FIRST, month(SECOND))  # what lies there now does not count
    command = [sys.executable, "-m", "ml_assets", "reproduce", name, "--json"]
    done = subprocess.run(command, env=environ(copy), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    outcome = json.loads(done.stdout)
    assert outcome["equal"]
    assert {(row["stage"], row["partition"]) for row in outcome["stages"] if row["equal"]} == {
        *((stage, key) for stage in ("raw", "dataset", "features") for key in MONTHS), ("reference", ""), ("model", THIRD),
    }  # fmt: skip
    rows = {name: (scores["rows"], scores["different"]) for name, scores in outcome["predictions"].items()}
    assert rows == {"golden": (16, 0), "tested": (copy.get("features", THIRD).facts["labelled"], 0)}
    assert (outcome["first"], outcome["without_effect"]) == (None, [])
    assert (copy.counts(), sorted(copy.space.snapshots.blobs.digests())) == before


def environ(at: Home) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ML_ASSETS_", "DAGSTER_"))}
    return kept | at.space.settings.environ()


def test_from_its_features_only_the_model_is_rebuilt(copy: Home) -> None:
    outcome = again(copy, start="features")
    assert outcome["equal"]
    assert [row["stage"] for row in outcome["stages"]] == ["model"]
    assert outcome["predictions"].keys() == {"golden", "tested"}


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ((r"seed: \d+", "seed: 12345"), "seed", "seed 7 -> 12345"),
        ((r"iterations: 5", "iterations: 6"), "configuration", "product.yaml: model.iterations 5 -> 6"),
    ],
)
def test_what_the_model_is_fitted_with_otherwise_is_named(copy: Home, change: tuple[str, str], kind: str, message: str) -> None:
    copy.edit("product.yaml", change)
    outcome = again(copy, start="features")
    assert not outcome["equal"]
    assert (outcome["first"]["stage"], causes(outcome)) == ("model", {kind: message})
    assert outcome["predictions"]["tested"]["different"] > 0


@pytest.mark.long
def test_changed_code_is_named_at_the_first_stage_that_comes_out_otherwise(copy: Home) -> None:
    copy.edit("contract.py", (r"distance: int = pa\.Field\(ge=10, le=6000", "distance: int = pa.Field(ge=10, le=100_000"))
    outcome = again(copy)
    assert not outcome["equal"]
    assert outcome["first"]["stage"] == "dataset"
    assert causes(outcome) == {"code": "code of dataset: contract.py"}
    rows = copy.get("dataset", FIRST).facts["rows"]["flights"]
    assert outcome["first"]["differs"] == [f"flights.parquet has {rows + 1} rows, recorded were {rows}"]


def test_a_stage_that_can_no_longer_be_made_is_named_with_its_error(copy: Home) -> None:
    copy.edit("contract.py", (r"distance: int = pa\.Field\(ge=10, le=6000", "distance: int = pa.Field(ge=10, le=1000"))
    outcome = again(copy)
    assert (outcome["equal"], outcome["first"]["stage"]) == (False, "dataset")
    assert "breaches its contract" not in causes(outcome)["code"]
    assert "the delivery breaks its contract" in outcome["first"]["error"]


def test_a_changed_delivered_byte_is_found(copy: Home) -> None:
    members = copy.space.snapshots.open(copy.get("raw", SECOND).snapshot).members
    damage(copy.folder / "store" / members["delivered/flights.csv"][:2] / members["delivered/flights.csv"], at=100)
    outcome = again(copy)
    assert (outcome["equal"], outcome["predictions"]) == (False, {})
    assert (outcome["first"]["stage"], outcome["first"]["partition"]) == ("raw", SECOND)
    assert members["delivered/flights.csv"][:12] in causes(outcome)["data"]


@pytest.mark.long
def test_rows_in_another_order_are_named(copy: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(features, "parquet_bytes", lambda frame: parquet_bytes(frame.reverse()))
        copy.edit("product.yaml", (r"lookback: 1", "lookback: 2"), (r"> -0\.25}", "> -0.9}"))
        for key in MONTHS:
            run = copy.run(key)
            assert run.success, {claim: run.descriptions[claim] for claim in run.failed_checks}
    outcome = again(copy)
    assert not outcome["equal"]
    assert (outcome["first"]["stage"], outcome["first"]["partition"]) == ("features", FIRST)
    rows = copy.get("features", FIRST).facts["rows"]
    message = [cause["told"] for cause in outcome["first"]["causes"]]
    assert f"features.parquet has the same {rows} rows in another order" in message
    assert {cause["kind"] for cause in outcome["first"]["causes"]} == {"row order"}
    assert outcome["first"]["differs"] == []


@pytest.mark.long
def test_another_library_version_is_named_with_or_without_effect(copy: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        was = stages._version
        patch.setattr(stages, "_version", lambda package: "1.2.9" if package == "catboost" else was(package))
        run = copy.run(THIRD, only=["model", "evaluation", "release"])
        assert run.success, run.errors
        assert run.computed == {"model", "evaluation", "release"}
    now = stages._version("catboost")
    outcome = again(copy, start="features")
    assert outcome["equal"]
    assert outcome["without_effect"] == [f"model: library: catboost 1.2.9 -> {now}"]
    copy.edit("product.yaml", (r"seed: 7", "seed: 8"))
    assert causes(again(copy, start="features")) == {"seed": "seed 7 -> 8", "library": f"catboost 1.2.9 -> {now}"}


def test_another_thread_count_is_named_whether_or_not_the_model_comes_out_otherwise(copy: Home) -> None:
    copy.edit("product.yaml", (r"threads: 2", "threads: 1"))
    outcome = again(copy, start="features")
    named = [c["told"] for c in outcome["first"]["causes"]] if outcome["first"] else outcome["without_effect"]
    assert [message.rpartition(": ")[2] for message in named] == ["threads 2 -> 1"]


def reproduced(at: Home) -> dg.AssetCheckEvaluation:
    """What the check of reproduction says of the third month: it alone is run."""
    product = at.product
    job = dg.define_asset_job(
        "some", selection=dg.AssetSelection.checks(dg.AssetCheckKey(asset_key(product, "release"), REPRODUCIBLE))
    )
    own = build_defs({product.name: product}, resources_of(at.space.settings))
    definitions = dg.Definitions.merge(own, dg.Definitions(jobs=[job]))
    with dg.DagsterInstance.ephemeral() as instance:
        of_third = {"instance": instance, "tags": {"dagster/partition": THIRD}}
        done = definitions.resolve_job_def("some").execute_in_process(**of_third, run_config=QUIET)
    (evaluation,) = done.get_asset_check_evaluations()
    return evaluation


def checked(at: Home) -> tuple[int, dict[str, Any]]:
    """`ml-assets check` of the third month: exit code, and what the check of reproduction says."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in at.space.settings.environ().items():
            patch.setenv(name, value)
        patch.setenv("DAGSTER_HOME", "")
        done = CliRunner().invoke(cli, ["check", "flights", "--partition", THIRD, "--json"])
    rows = {row["check"]: row for row in json.loads(done.stdout)["checks"]}
    return done.exit_code, rows["reproducible"]


@pytest.mark.long
def test_the_checks_reproduce_and_tell_a_declared_change_from_a_model_that_is_not_the_same(copy: Home) -> None:
    outcome = reproduced(copy)
    assert outcome.passed, outcome.description
    copy.edit("product.yaml", (r"seed: 7", "seed: 8"))
    outcome = reproduced(copy)
    assert (outcome.passed, outcome.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert outcome.description == f"model {THIRD} differs: seed: seed 7 -> 8"
    copy.edit("product.yaml", (r"seed: 8", "seed: 7"))
    members = copy.space.snapshots.open(copy.get("features", FIRST).snapshot).members
    damage(copy.folder / "store" / members["features.parquet"][:2] / members["features.parquet"], at=100)
    code, row = checked(copy)
    assert (code, row["passed"], row["severity"]) == (1, False, "ERROR")
    assert "data: snapshot file" in row["description"]
