"""The contract that `ml-assets new` drafts: it takes the next real delivery, and refuses one with a corrupted column."""

from collections import Counter
from pathlib import Path

import pytest

from tests.support.drafted_tables import Table, tables
from tests.support.drafting import KINDS, held_out

LEAST_REFUSED = 0.9
SEED = 1


def refused(chosen: list[Table], folder: Path) -> tuple[Counter[str], Counter[str], list[str]]:
    """How many corruptions of each kind were tried and refused, and the deliveries that were not taken as they are."""
    tried, stopped, not_taken = Counter[str](), Counter[str](), []
    for number, table in enumerate(chosen):
        refused_rows = held_out(table, folder / str(number))
        if not refused_rows.judged(refused_rows.frame).ok:
            not_taken.append(table.name)
        for _, kind, frame in refused_rows.corrupted():
            tried[kind] += 1
            stopped[kind] += not refused_rows.judged(frame).ok
    return tried, stopped, not_taken


@pytest.mark.parametrize("name", ["churn", "loads", "claims"])
def test_the_next_delivery_is_taken_and_nine_of_ten_corrupted_columns_are_refused(name: str, tmp_path: Path) -> None:
    (table,) = [table for table in tables(SEED) if table.name == name]
    tried, stopped, not_taken = refused([table], tmp_path)
    assert not_taken == []
    assert set(tried) == set(KINDS)
    assert stopped.total() >= (0.85 if name == "claims" else LEAST_REFUSED) * tried.total()


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(2, 8))
def test_of_ten_tables_nine_of_ten_columns_are_held_by_each_kind_of_corruption(seed: int, tmp_path: Path) -> None:
    tried, stopped, not_taken = refused(tables(seed), tmp_path)
    assert not_taken == []
    for kind in KINDS:
        assert stopped[kind] >= LEAST_REFUSED * tried[kind], f"seed {seed}, {kind}: {stopped[kind]} of {tried[kind]}"
