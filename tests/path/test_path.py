"""The path on three small months of real flights: from the delivered file to the answer, and nothing twice."""

import json
import sys
from hashlib import sha256
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.lineage.stages import LEAVES, UNAWAITED
from ml_assets.definitions import build_defs
from ml_assets.serving.client import http_client as client
from ml_assets.serving.client.server_process import ServerProcess
from resources.dagster_assets import asset_key
from resources.dagster_resources import resources_of
from tests.support.homes.flights_months import MONTHS, MORE, TOO_FAR, Months, copies, copy, month, months, with_column, year
from tests.support.homes.path_homes import Home

__all__ = ["copies", "copy", "months"]

FIRST, SECOND, THIRD = MONTHS
ENDPOINTS = {"endpoint/staging", "endpoint/production"}
DATA = {"raw", "dataset", "quarantine", "features"}
DECIDING = DATA | {"model", "evaluation", "release", "monitoring", "predictions"}
PARTITIONED = DECIDING | set(LEAVES)


def leaves(at: Home, manifest: Manifest) -> dict[tuple[str, str], str]:
    """What a manifest's tree ends in: the digests of delivered bytes."""
    versions = {(i.asset, i.partition): i.data_version for i in manifest.recipe.inputs if i.manifest is None}
    for source in at.space.lineage.inputs(manifest):
        versions |= leaves(at, source)
    return versions


def test_the_first_month_has_no_candidate_and_its_run_is_green(months: Months) -> None:
    run = months.runs[FIRST]
    assert run.success
    assert run.computed == DATA | {"reference"}
    assert "gates_passed" not in run.checks
    assert run.outcome
    assert run.outcome.kind == "no candidate"
    assert run.outcome.reason.startswith(f"no candidate yet: 0 of at least 1 training partitions before {FIRST}")


def test_a_delivered_month_goes_from_file_to_answering_endpoint(months: Months, copy: Home) -> None:
    run = months.runs[THIRD]
    assert run.success
    assert run.computed == PARTITIONED | ENDPOINTS
    assert run.outcome
    assert run.outcome.kind == "promoted"
    assert run.failed_checks <= {"columns_stable", "score_stable", "realised_metric_holds"}
    release = months.home.get("release", THIRD)
    assert months.home.serving() == months.home.serving("staging") == release.facts["release"]
    golden = json.loads(months.home.space.snapshots.read(release.snapshot, "golden.json"))
    argv = [sys.executable, "-m", "ml_assets", "serve", "flights"]
    with ServerProcess(argv, environ=copy.space.settings.environ()) as server:
        answer = client.predict(server.base_url, golden["requests"])
    assert answer["release"] == release.facts["release"]
    assert [p["probability"] for p in answer["predictions"]] == golden["scores"]
    assert len(set(golden["scores"])) > 5


def test_the_tree_of_the_answering_release_ends_in_the_delivered_bytes(months: Months) -> None:
    delivered = {f"landing/flights/{t}": content for t, content in year().reference().items()}
    expected = {(asset, ""): sha256(content).hexdigest() for asset, content in delivered.items()}
    for key in MONTHS:
        expected |= {(f"landing/flights/{t}", key): sha256(c).hexdigest() for t, c in month(key).items()}
    left_over = leaves(months.home, months.home.get("release", THIRD))
    learned = {("flights/evaluation", SECOND): months.home.get("evaluation", SECOND).data_version}
    assert left_over == expected | learned, "a verdict learns from those before it, by their content"


def test_a_candidate_is_judged_on_the_month_that_trains_the_next_one(months: Months) -> None:
    second, third = (months.home.get("evaluation", key).facts for key in (SECOND, THIRD))
    assert (second["tested"], second["champion"]) == ([SECOND], None)
    assert third["tested"] == [THIRD]
    assert third["champion"]["release"] == months.home.get("release", SECOND).facts["release"]
    assert months.home.get("model", THIRD).facts["train"] == [FIRST, SECOND]


def test_raw_is_dataset_and_quarantine_row_for_row(months: Months) -> None:
    frame = months.home.space.snapshots.frame
    raw, kept, refused = (months.home.get(s, FIRST).snapshot for s in ("raw", "dataset", "quarantine"))
    names = ["carrier", "flight", "origin", "year", "month", "day", "sched_dep_time"]
    rows = [frame(s, "flights.parquet").select(pl.col(names).cast(pl.String)) for s in (raw, kept, refused)]
    assert rows[0].sort(names).equals(pl.concat(rows[1:]).sort(names))
    assert rows[2].height == 1
    assert frame(refused, "flights.parquet").select("reason", "row", "distance").rows() == [
        ("distance.range", 0, TOO_FAR.decode())
    ]


def test_production_serves_the_release_before_anything_is_made_that_no_decision_waits_for(months: Months) -> None:
    order = list(months.runs[THIRD].materialized)
    later = [stage for stage in UNAWAITED if stage in order]
    assert {"monitoring", "predictions", *LEAVES} <= set(later)
    assert order.index("endpoint/production") < min(map(order.index, later))


def test_running_a_month_again_computes_nothing(copy: Home) -> None:
    before, answering = copy.counts(), copy.serving()
    run = copy.run(THIRD, leaves=LEAVES)
    assert run.success
    assert not run.computed
    assert run.materialized.keys() == PARTITIONED | ENDPOINTS | {"reference"}
    looked_at = {"answers_as_recorded", "window_open", "requests_match_training"}  # nobody asked anything, which is no evidence
    assert run.checks.keys() - run.reused_checks == looked_at
    assert (copy.counts(), copy.serving()) == (before, answering)


def test_a_damaged_prediction_log_fails_no_run_and_is_named(copy: Home) -> None:
    hour = copy.space.settings.predictions("flights") / "2013-03-01" / "10"
    hour.mkdir(parents=True)
    (hour / "1.parquet").write_bytes(b"cut short")
    run = copy.run(THIRD)
    assert run.success, run.errors
    assert "requests_match_training" in run.warnings
    assert "requests cannot be looked at: " in run.descriptions["requests_match_training"]
    assert str(hour) in run.descriptions["requests_match_training"]


def test_a_month_delivered_again_with_equal_content_changes_nothing(copy: Home) -> None:
    before = copy.counts()
    copy.deliver(THIRD, month(THIRD))
    run = copy.run(THIRD)
    assert run.success
    assert not run.computed
    assert copy.counts() == before


def test_changed_outcomes_of_a_month_rebuild_what_depends_on_them(copy: Home) -> None:
    was = {stage: copy.get(stage, THIRD) for stage in DECIDING}
    copy.deliver(THIRD, {"flights": with_column(month(THIRD)["flights"], "arr_delay", b"45", every=50)})
    run = copy.run(THIRD)
    assert run.success
    assert run.computed == (DECIDING | ENDPOINTS) - {"model"}
    now = {stage: copy.get(stage, THIRD) for stage in DECIDING}
    assert {s for s in DECIDING if now[s].data_version != was[s].data_version} == DECIDING - {"model", "quarantine"}
    assert now["evaluation"].facts["champion"]["release"] == was["release"].facts["release"]


def test_a_change_that_no_feature_sees_ends_at_the_features(copy: Home) -> None:
    features = copy.get("features", THIRD)
    copy.deliver(THIRD, {"weather": with_column(month(THIRD)["weather"], "wind_gust", b"20.5", every=50)})
    run = copy.run(THIRD)
    assert run.success
    assert run.computed == DATA
    assert copy.get("features", THIRD).data_version == features.data_version
    assert copy.get("features", THIRD).id != features.id


def test_after_a_rollback_the_former_release_answers_and_a_rerun_does_not_bring_the_other_back(copy: Home) -> None:
    former = copy.get("release", SECOND).facts["release"]
    copy.space.endpoints.rollback("flights", to=None, by="a person", reason="a test")
    assert copy.serving() == former
    moves = len(copy.space.ledger.moves("flights", "production"))
    assert copy.run(THIRD).success
    assert copy.serving() == former
    assert len(copy.space.ledger.moves("flights", "production")) == moves


def test_a_check_that_is_executed_on_its_page_looks_at_the_newest_partition(copy: Home) -> None:
    key = dg.AssetCheckKey(asset_key(copy.product, "features"), "keeps_contract")
    definitions = build_defs({"flights": copy.product}, resources_of(copy.space.settings))
    job = dg.define_asset_job("some", selection=dg.AssetSelection.checks(key))
    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.Definitions.merge(definitions, dg.Definitions(jobs=[job])).resolve_job_def("some")
        (evaluation,) = done.execute_in_process(instance=instance).get_asset_check_evaluations()
    assert evaluation.passed
    assert (evaluation.metadata["partition"].value, evaluation.metadata["reused"].value) == (THIRD, True)
    assert copy.space.ledger.partitions("flights", "features")[-1] == THIRD


@pytest.mark.long
def test_other_parameters_for_the_same_month_are_compared_with_what_answers_now(copy: Home, tmp_path: Path) -> None:
    answering = copy.get("release", THIRD)
    copy.edit("product.yaml", *MORE)
    run = copy.run(THIRD)
    assert run.success
    assert run.computed == {"model", "evaluation", "release"} | ENDPOINTS
    assert copy.get("evaluation", THIRD).facts["champion"]["bundle"] == answering.snapshot
    assert copy.serving() == copy.get("release", THIRD).facts["release"] != answering.facts["release"]
