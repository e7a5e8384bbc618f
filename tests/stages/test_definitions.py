"""The graph is the one that was meant: every asset, edge, check, job and sensor, and what the jobs run."""

from pathlib import Path

import dagster as dg
import pytest

from tests.support.graph import checks, definitions, lines


def test_the_graph_is_the_one_written_down() -> None:
    written = (Path(__file__).parents[1] / "graph.txt").read_text()
    assert list(lines(definitions())) == written.splitlines()


def test_every_key_that_is_named_is_made_by_something() -> None:
    made = {spec.key for spec in definitions().resolve_all_asset_specs()}
    read = {dep.asset_key for spec in definitions().resolve_all_asset_specs() for dep in spec.deps}
    assert read | {check.asset_key for check in checks(definitions())} <= made


@pytest.mark.parametrize("product", ["flights", "temperature"])
def test_the_path_leaves_out_only_the_checks_that_cost_a_fit_or_a_server(product: str) -> None:
    def run_by(job: str) -> set[dg.AssetCheckKey]:
        graph = definitions().resolve_job_def(f"{product}_{job}").asset_layer.asset_graph
        return {key for key in graph.asset_check_keys if key.asset_key.path[0] == product}

    every = {check.key for check in checks(definitions()) if check.asset_key.path[0] == product}
    assert run_by("checks") == every
    left_out = {("release", "reproducible"), ("endpoint/production", "rollback_drill")}
    assert every - run_by("path") == {
        dg.AssetCheckKey(dg.AssetKey([product, *stage.split("/")]), claim) for stage, claim in left_out
    }
