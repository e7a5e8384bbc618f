"""A product that asks for a clean commit: what was made from uncommitted changes is released and tried, and doesn't serve."""

from collections.abc import Callable
from dataclasses import replace

from click.testing import Result

from ml_assets.core.lineage.source import Source
from ml_assets.core.release.promotion import Decision
from ml_assets.services.release_status import release_status
from resources.ledger.decisions import DecisionRefused
from tests.support.homes.people_home import SECOND, People, command, people, told, waiting

__all__ = ["command", "people", "waiting"]

Command = Callable[..., Result]
ASKS = (r"\nendpoint:", "\npromote: {commit: clean}\n\nendpoint:")
NOT_CLEAN = "its product is not under version control"
NEXT = f"commit the changes or undo them, then `ml-assets run flights --partition {SECOND}`"
CLEAN: Source = {"code": {"commit": "c" * 40, "is_dirty": False}}
DIRTY: Source = {"code": {"commit": "c" * 40, "is_dirty": True}}


def test_it_is_tried_in_staging_and_withheld_from_production_and_everyone_says_why(people: People, command: Command) -> None:
    people.home.edit("product.yaml", ASKS)
    run = people.home.run("", only=["endpoint/staging", "endpoint/production"])
    assert run.success, run.errors
    (kept,) = [line for line in run.log if "kept: withheld by promote.commit: clean" in line]
    assert NOT_CLEAN in kept
    assert kept.endswith(NEXT)
    assert (people.home.answering("staging"), people.home.answering()) == (people.release, None)
    events = [entry.dagster_event for entry in run.entries if entry.dagster_event and entry.dagster_event.is_step_materialization]
    decisions = [event.step_materialization_data.materialization.metadata["decision"].value for event in events]
    assert len(decisions) == 2
    assert all(NEXT in decision for decision in decisions)
    assert f"{people.release} is withheld by promote.commit: clean" in command("status", "flights").output
    assert NEXT in told(command("status", "flights", "--json"))["withheld"][people.release]
    refused = command("approve", "flights", people.release, "--by", "anna")
    assert isinstance(refused.exception, DecisionRefused)
    assert NOT_CLEAN in str(refused.exception)


def test_a_clean_commit_lets_through_what_it_would_make_itself_and_nothing_else(people: People) -> None:
    def decision(source: Source | None) -> Decision:
        lineage = replace(people.home.space.lineage, sources=lambda product: source)
        return release_status(lineage, people.home.product, people.home.get("release", SECOND)).decision

    assert decision(None).action == "wait", "where nothing is declared no commit is asked for"
    people.home.edit("product.yaml", ASKS)
    assert decision(CLEAN).action == "wait"
    for source in (None, DIRTY, {**CLEAN, "product": None}):
        assert decision(source).action == "keep"
        assert NOT_CLEAN in decision(source).reasons[0]
    people.home.edit("product.yaml", ("iterations: 5", "iterations: 6"))
    assert decision(CLEAN).action == "keep", "this commit would train another model"
