"""Any row that somebody posts as an outcome is taken, or refused by its number with a reason: none takes the request down."""

from pathlib import Path
from typing import Any

import pytest

from ml_assets.services.outcomes.posted import Inbox
from resources.landing import Landing
from tests.support.homes.apart import apart

AT = "2024-03-01T20:20:00"
GOOD: dict[str, Any] = {"id": "2024-03-01-1", "placed_at": AT, "came_back": 1}
ROWS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "a year that UTC does not have": GOOD | {"placed_at": "9999-12-31T23:00:00-05:00"},
    "a year before the first": GOOD | {"placed_at": "0001-01-01T00:00:00+05:00"},
    "a time that is none": GOOD | {"placed_at": "yesterday"},
    "a time that is a number": GOOD | {"placed_at": 1709323200},
    "a time before the product begins": GOOD | {"placed_at": "1999-03-01T20:20:00"},
    "a key that is null": GOOD | {"id": None},
    "a prediction that is a list": {"prediction": ["x"], "came_back": 1},
    "a prediction that is a number": {"prediction": 7, "came_back": 1},
    "a label that is a list": GOOD | {"came_back": [1]},
    "a label that is text": GOOD | {"came_back": "maybe"},
    "a label out of range": GOOD | {"came_back": 10**30},
}


@pytest.mark.parametrize("name", ROWS)
def test_a_row_that_cannot_be_an_outcome_is_refused_by_its_number_and_its_neighbour_is_taken(tmp_path: Path, name: str) -> None:
    home = apart(tmp_path)
    settings = home.space.settings
    taken = Inbox(home.product, Landing(settings.landing), settings.predictions("shop")).take(
        [ROWS[name], GOOD | {"id": "other"}]
    )
    assert (taken.rows, list(taken.refused)) == (1, [0]), taken.refused
    assert taken.refused[0]
