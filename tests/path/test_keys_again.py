"""Keys that come again in another partition: where they are the same thing again, rows whose key was trained on judge nothing."""

from pathlib import Path

import pytest

from ml_assets.core.lineage.facts import EvaluationFacts
from ml_assets.core.model.seen_keys import unseen
from ml_assets.services.comparisons import compared_before
from ml_assets.services.rederived_verdict import contradictions
from ml_assets.spec.product import ProductError
from tests.support.homes.loans import loans
from tests.support.homes.path_homes import Home, blank_pages
from tests.support.homes.shop import DAYS, deliver, shop

FIRST, SECOND, THIRD, _ = DAYS
AGAIN = 15
"""Orders of each day that have the number of an order of the first day."""
REFUSE = ("title:", "keys: {across_partitions: refuse}\ntitle:")


def ran(folder: Path, *edits: tuple[str, str]) -> Home:
    """Three days; the ids of the first orders of each are those of the first day."""
    home = shop(folder, *edits)
    deliver(home, FIRST, SECOND, THIRD, id=lambda number, row: f"{FIRST}-{number}" if number < AGAIN else row["id"])
    with blank_pages():
        for day in (FIRST, SECOND, THIRD):
            run = home.run(day)
            assert run.success, (day, run.errors)
    return home


@pytest.mark.long
def test_test_rows_whose_key_was_trained_on_are_left_out_and_counted(tmp_path: Path) -> None:
    home = ran(tmp_path, REFUSE)
    evaluation = home.get("evaluation", THIRD)
    facts = EvaluationFacts.of(evaluation)
    assert facts.seen_keys == AGAIN
    scored = home.space.snapshots.frame(evaluation.snapshot, "scores.parquet")
    assert scored.height == 40 - AGAIN
    trained = [home.space.snapshots.frame(home.get("features", day).snapshot, "features.parquet") for day in (FIRST, SECOND)]
    assert not set(scored["id"]) & {key for frame in trained for key in frame["id"]}
    assert [compared.partition for compared in compared_before(home.space.lineage, home.product, evaluation).before] == [
        FIRST,
        SECOND,
    ]
    assert contradictions(home.space.lineage, home.product, evaluation) == []


@pytest.mark.long
def test_a_key_may_come_again_where_nothing_else_is_said(tmp_path: Path) -> None:
    home = ran(tmp_path)
    facts = EvaluationFacts.of(home.get("evaluation", THIRD))
    assert facts.seen_keys is None
    assert home.space.snapshots.frame(home.get("evaluation", THIRD).snapshot, "scores.parquet").height == 40


def test_rows_without_an_outcome_were_not_trained_on(tmp_path: Path) -> None:
    home = shop(tmp_path, REFUSE)
    deliver(home, FIRST)
    with blank_pages():
        home.run(FIRST, only=["raw", "dataset", "quarantine", "features"])
    frame = home.space.snapshots.frame(home.get("features", FIRST).snapshot, "features.parquet")
    assert unseen(frame, frame, product=home.product).is_empty()
    without = frame.with_columns(came_back=frame["came_back"].clear(frame.height))
    assert unseen(frame, without, product=home.product).equals(frame)


def test_a_static_table_has_the_same_keys_in_every_delivery(tmp_path: Path) -> None:
    with pytest.raises(ProductError, match="deliveries of a static table have the same keys"):
        _ = loans(tmp_path, REFUSE).product
