"""The graph is the one that was meant: every asset, edge, check, job and sensor, and what the jobs run."""

from pathlib import Path

import dagster as dg
import pytest

from tests.support.graph import checks, definitions, lines
from tests.support.homes.shop import DAYS, SHOP, deliver, shop


def test_the_graph_is_the_one_written_down() -> None:
    written = (Path(__file__).parents[1] / "graph.txt").read_text()
    assert list(lines(definitions())) == written.splitlines()


def test_every_key_that_is_named_is_made_by_something() -> None:
    own_home = {spec.key for spec in definitions().resolve_all_asset_specs()}
    read = {dep.asset_key for spec in definitions().resolve_all_asset_specs() for dep in spec.deps}
    assert read | {check.asset_key for check in checks(definitions())} <= own_home


@pytest.mark.parametrize("product", ["flights", "temperature"])
def test_the_path_leaves_out_only_the_checks_that_cost_a_fit_or_a_server(product: str) -> None:
    def run_by(job: str) -> set[dg.AssetCheckKey]:
        graph = definitions().resolve_job_def(f"{product}_{job}").asset_layer.asset_graph
        return {key for key in graph.asset_check_keys if key.asset_key.path[0] == product}

    every = {check.key for check in checks(definitions()) if check.asset_key.path[0] == product}
    assert every - run_by("checks") == {dg.AssetCheckKey(dg.AssetKey([product, "evaluation"]), "window_open")}
    left_out = {("release", "reproducible"), ("endpoint/production", "rollback_drill")}
    assert every - run_by("path") == {
        dg.AssetCheckKey(dg.AssetKey([product, *stage.split("/")]), claim) for stage, claim in left_out
    }


def test_the_features_asset_shows_the_sql_of_each_dbt_model_and_where_its_file_lies() -> None:
    folder = SHOP / "dbt"
    (spec,) = [link for link in definitions().resolve_all_asset_specs() if link.key == dg.AssetKey(["shop", "features"])]
    files = {path.name for path in folder.glob("*.sql")}
    references = spec.metadata["dagster/code_references"]
    assert isinstance(references, dg.CodeReferencesMetadataValue)
    links = [link for link in references.code_references if isinstance(link, dg.LocalFileCodeReference)]
    assert {(link.label, Path(link.file_path).read_text()) for link in links} == {(n, (folder / n).read_text()) for n in files}
    for name in files:
        assert (folder / name).read_text().strip() in spec.metadata[name].value


def test_built_features_show_the_compiled_sql_and_where_each_column_comes_from(tmp_path: Path) -> None:
    own_home = shop(tmp_path)
    deliver(own_home, DAYS[0])
    run = own_home.run(DAYS[0], only=("raw", "dataset", "quarantine", "features"), without=[])
    assert run.success, run.errors
    events = [entry.dagster_event for entry in run.entries if entry.dagster_event is not None]
    shown = next(e.materialization.metadata for e in events if e.is_step_materialization and e.asset_key.path[1] == "features")
    compiled = own_home.space.snapshots.read(own_home.get("features", DAYS[0]).snapshot, "features.sql").decode()
    assert compiled.strip() in shown["compiled_sql"].value
    lineage = shown["dagster/column_lineage"].value.deps_by_column
    assert [(dep.asset_key.path, dep.column_name) for dep in lineage["amount"]] == [(["shop", "dataset"], "orders.amount")]
    own_home.close()
