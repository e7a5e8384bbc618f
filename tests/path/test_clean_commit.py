"""A product that asks for a clean commit: what comes from uncommitted changes or no merged commit is tried, and doesn't serve."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from click.testing import Result

from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.lineage.manifests import Input, Manifest, Output
from ml_assets.core.lineage.source import Source
from ml_assets.core.release.promotion import Decision
from ml_assets.services.promotion_policy import withheld_by_commit
from ml_assets.services.release_status import release_status
from ml_assets.spec.product import load
from resources.git import source, tracked
from resources.ledger.decisions import DecisionRefused
from resources.lineage import Lineage
from tests.support.homes.people_home import SECOND, People, command, json_of, people, waiting
from tests.support.repository import Team, team

__all__ = ["command", "people", "waiting"]

Command = Callable[..., Result]
ASKS = (r"\nendpoint:", "\npromote: {commit: clean}\n\nendpoint:")
NOT_CLEAN = "its product is not under version control"
NEXT = f"commit and merge it, then from the default branch `ml-assets run flights --partition {SECOND}`"
CLEAN: Source = {"code": {"commit": "c" * 40, "is_dirty": False, "is_merged": True}}
UNMERGED: Source = {"code": {"commit": "c" * 40, "is_dirty": False, "is_merged": False}}
DIRTY: Source = {"code": {"commit": "c" * 40, "is_dirty": True}}


@pytest.mark.long
def test_it_is_tried_in_staging_and_withheld_from_production_and_everyone_says_why(people: People, command: Command) -> None:
    people.home.edit("product.yaml", ASKS)
    run = people.home.run("", only=["endpoint/staging", "endpoint/production"])
    assert run.success, run.errors
    (kept,) = [line for line in run.log if "kept: withheld by promote.commit: clean" in line]
    assert NOT_CLEAN in kept
    assert kept.endswith(NEXT)
    assert (people.home.serving("staging"), people.home.serving()) == (people.release, None)
    events = [entry.dagster_event for entry in run.entries if entry.dagster_event and entry.dagster_event.is_step_materialization]
    decisions = [event.step_materialization_data.materialization.metadata["decision"].value for event in events]
    assert len(decisions) == 2
    assert all(NEXT in decision for decision in decisions)
    assert f"{people.release} is withheld by promote.commit: clean" in command("status", "flights").output
    assert NEXT in json_of(command("status", "flights", "--json"))["withheld"][people.release]
    refused = command("approve", "flights", people.release, "--by", "anna")
    assert isinstance(refused.exception, DecisionRefused)
    assert NOT_CLEAN in str(refused.exception)


@pytest.mark.long
def test_a_clean_merged_commit_lets_through_what_it_would_make_itself_and_nothing_else(people: People) -> None:
    def decision(own: Source | None) -> Decision:
        lineage = replace(people.home.space.lineage, sources=lambda product: own)
        return release_status(lineage, people.home.product, people.home.get("release", SECOND)).decision

    assert decision(None).action == "wait", "where nothing is declared no commit is asked for"
    people.home.edit("product.yaml", ASKS)
    assert decision(CLEAN).action == "wait"
    for other in (None, DIRTY, UNMERGED, {**CLEAN, "product": None}):
        assert decision(other).action == "keep"
        assert NOT_CLEAN in decision(other).reasons[0]
    people.home.edit("product.yaml", ("iterations: 5", "iterations: 6"))
    assert decision(CLEAN).action == "keep", "this commit would train another model"


@dataclass(frozen=True)
class Trained:
    """Something that the trains made, in a checkout of their repository."""

    lineage: Lineage
    team: Team

    def at(self, *switch: str) -> "Trained":
        """The same with another commit checked out, in a new process."""
        self.team.git("switch", "--quiet", *switch)
        tracked.cache_clear()
        return self

    @property
    def here(self) -> Lineage:
        return replace(self.lineage, sources=lambda product: source(self.team.root, product=self.team.product))

    def make(self) -> Manifest:
        read = Input("landing/trains/trips", "2013-01", "a" * 64)
        recipe = self.here.recipe(load(self.team.product), "raw", "2013-01", [read])
        return self.here.make(recipe, lambda: Output({"trips.parquet": b""}), run="r").manifest

    def withheld(self, manifest: Manifest) -> str:
        return "; ".join(withheld_by_commit(self.here, load(self.team.product), manifest))


def test_a_commit_that_is_not_merged_is_withheld_until_an_equal_one_is(workspace: Workspace, tmp_path: Path) -> None:
    trains = Trained(workspace.lineage, team(tmp_path))
    trains.at("main").team.write("product.yaml", "endpoint:", "promote: {commit: clean}\nendpoint:")
    trains.team.commit("Ask for clean commits")
    merged = trains.at("main").make()
    assert trains.withheld(merged) == ""

    trains.at("--create", "empty-fields").team.write("product.yaml", 'null_values: [NA, ""]', 'null_values: [NA, "-"]')
    trains.team.commit("Dashes are empty fields")
    for switch in (["empty-fields"], ["--detach", "empty-fields"]):
        manifest = trains.at(*switch).make()
        message = trains.withheld(manifest)
        assert "which the default branch does not contain" in message
        assert message.endswith("commit and merge it, then from the default branch `ml-assets run trains --partition 2013-01`")
    assert trains.withheld(merged) == "", "what came from a merged commit may serve, whoever looks"
    assert trains.at("main").withheld(manifest), "main would not make it"
    trains.team.git("merge", "--quiet", "--squash", "empty-fields")
    trains.team.commit("Dashes are empty fields (squashed)")
    assert trains.at("main").withheld(manifest) == "", "the same content, merged as another commit: main makes the same"


def test_where_a_shallow_clone_cannot_tell_it_is_withheld_and_says_what_to_do(workspace: Workspace, tmp_path: Path) -> None:
    whole = team(tmp_path)
    whole.git("switch", "--quiet", "main")
    whole.write("product.yaml", "endpoint:", "promote: {commit: clean}\nendpoint:")
    whole.commit("Ask for clean commits")
    whole.git("tag", "deployed")
    whole.commit("Later")
    whole.git("clone", "--quiet", "--depth", "1", "--no-single-branch", f"file://{whole.root}", str(tmp_path / "shallow"))
    shallow = Trained(workspace.lineage, replace(whole, root=tmp_path / "shallow"))
    shallow.team.git("fetch", "--quiet", "--depth", "1", "origin", "tag", "deployed")
    manifest = shallow.at("--detach", "deployed").make()
    assert "git cannot tell whether the default branch contains it: a shallow clone needs its history" in shallow.withheld(
        manifest
    )
    shallow.team.git("fetch", "--quiet", "--unshallow")
    assert shallow.at("--detach", "deployed").withheld(manifest) == ""
