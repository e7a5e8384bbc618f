"""`ml-assets run --from --to`: a range of partitions in one process, with the outcome of single runs."""

import json
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from ml_assets.cli import cli
from ml_assets.core.lineage.stages import LEAVES, STAGES
from ml_assets.core.lineage.warm_up import WARM_UP
from resources.dagster_instance import open_instance
from resources.endpoints.moves import moves_of
from tests.support.homes.path_homes import Home, blank_pages
from tests.support.homes.shop import DAYS, deliver, shop

FIRST, SECOND, THIRD, FOURTH = DAYS


def ran(home: Home, *arguments: str) -> Result:
    environ = {"ML_ASSETS_HOME": str(home.folder), "ML_ASSETS_PRODUCTS": str(home.declared.parent)}
    with blank_pages():
        return CliRunner().invoke(cli, ["run", "shop", *arguments], env=environ)


@pytest.fixture(scope="module")
def backfilled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Result]:
    """The first and the fourth day, with one between them that is refused and one that is not delivered."""
    home = shop(tmp_path_factory.mktemp("range"))
    (home.folder / "dagster").mkdir()
    (home.folder / "dagster" / "workspace.yaml").write_text("load_from: nothing that Dagster can load\n")
    deliver(home, FIRST, FOURTH)
    deliver(home, SECOND, amount="free")
    return home, ran(home, "--from", FIRST, "--to", FOURTH)


def test_a_range_is_run_in_order_and_a_failure_stops_no_later_partition(backfilled: tuple[Home, Result]) -> None:
    home, done = backfilled
    assert "shop: 3 to run, 1 not delivered (2024-03-03)" in done.output
    assert f"3/3 shop {FOURTH}" in done.output
    assert f"1 of 3 failed: {SECOND}; the same command runs them again" in done.output
    assert done.exit_code == 1
    assert home.serving() == home.get("release", FOURTH).facts["release"]


def test_dagster_shows_a_run_of_the_command_line_under_its_job(backfilled: tuple[Home, Result]) -> None:
    with open_instance(backfilled[0].space.settings) as instance:
        origins = [run.remote_job_origin for run in instance.get_runs()]
    assert {origin and (origin.location_name, origin.job_name) for origin in origins} == {("ml_assets", "shop_path")}


def test_a_run_without_a_candidate_says_what_is_missing(backfilled: tuple[Home, Result]) -> None:
    assert f"no candidate yet: 0 of at least 1 training partitions before {FIRST}" in backfilled[1].output


def test_the_warm_up_of_a_calendar_is_done_in_dagster_and_nothing_in_the_ledger(backfilled: tuple[Home, Result]) -> None:
    home, _ = backfilled
    with open_instance(home.space.settings) as instance:
        for stage in ("model", "evaluation", "release", "report", "tracking", "monitoring", "predictions"):
            assert FIRST in instance.get_materialized_partitions(dg.AssetKey(["shop", stage])), stage
            assert home.space.ledger.current("shop", stage, FIRST) is None
        records = instance.fetch_materializations(dg.AssetKey(["shop", "model"]), limit=10).records
    ran(home, "--partition", FIRST)
    with open_instance(home.space.settings) as instance:
        assert len(instance.fetch_materializations(dg.AssetKey(["shop", "model"]), limit=10).records) == len(records), "told once"
    warm_ups = [event.metadata[WARM_UP].value for r in records if (event := r.asset_materialization) and event.partition == FIRST]
    assert [str(why)[:33] for why in warm_ups] == ["0 of at least 1 training partition"[:33]]


@pytest.mark.long
def test_the_same_command_goes_on_where_it_was_stopped(backfilled: tuple[Home, Result]) -> None:
    home, _ = backfilled
    deliver(home, SECOND)
    done = ran(home, "--from", FIRST, "--to", SECOND, "--json")
    assert done.exit_code == 0, done.output
    (outcome,) = [json.loads(line) for line in done.output.splitlines() if line.startswith("{")]
    assert (outcome["partition"], outcome["success"], outcome["stages"]["dataset"]) == (SECOND, True, "made")


def test_a_range_of_which_nothing_is_delivered_is_named(backfilled: tuple[Home, Result]) -> None:
    done = ran(backfilled[0], "--from", "2024-03-20", "--to", "2024-03-21")
    assert "nothing from 2024-03-20 to 2024-03-21 is delivered" in str(done.exception)
    assert ran(backfilled[0], "--to", SECOND).exit_code == 2
    assert ran(backfilled[0], "--pages", "last").exit_code == 2
    assert ran(backfilled[0], "--from", FIRST, "--partition", SECOND).exit_code == 2


@pytest.mark.long
def test_pages_of_overtaken_partitions_are_made_on_request_then_or_later(tmp_path: Path) -> None:
    home, whole = shop(tmp_path / "lean"), shop(tmp_path / "whole")
    for side in (home, whole):
        deliver(side, FIRST, SECOND, THIRD, FOURTH)
    span = ("--from", FIRST, "--to", FOURTH)
    done, plain = ran(home, *span), ran(whole, *span, "--pages", "all")
    assert (done.exit_code, plain.exit_code) == (0, 0), done.output
    assert "report and tracking of overtaken partitions are left out" in done.output
    assert f"`ml-assets run shop --from {FIRST} --to {FOURTH} --pages all` makes them" in done.output
    for stage in LEAVES:
        assert home.space.ledger.partitions("shop", stage) == [FOURTH]
        assert whole.space.ledger.partitions("shop", stage) == [SECOND, THIRD, FOURTH]
    assert decided(home) == decided(whole)
    assert "shop: 0 to run, 4 current" in ran(home, *span).output
    assert ran(home, *span, "--pages", "all").exit_code == 0
    assert home.space.ledger.partitions("shop", "tracking") == [SECOND, THIRD, FOURTH]
    assert "shop: 0 to run, 4 current" in ran(home, *span, "--pages", "all").output


def decided(home: Home) -> dict[str, object]:
    """What each partition's stages hold but for the leaves, which evidence there is of them, and which releases served."""
    ledger = home.space.ledger
    stages = [name for name in STAGES if name not in LEAVES]
    current = {(stage, key): ledger.current("shop", stage, key) for stage in stages for key in ledger.partitions("shop", stage)}
    manifests = {where: manifest for where, manifest in current.items() if manifest}
    return {
        "versions": {where: manifest.data_version for where, manifest in manifests.items()},
        "evidence": {w: {claim: e.body.passed for claim, e in ledger.evidence(m.id).items()} for w, m in manifests.items()},
        "served": [(at, move.release) for at in ("staging", "production") for move in moves_of(ledger, "shop", at)],
    }


def test_a_range_begins_in_the_calendar(tmp_path: Path) -> None:
    assert "'2024-02-01' is not a partition of this product" in str(ran(shop(tmp_path), "--from", "2024-02-01").exception)
