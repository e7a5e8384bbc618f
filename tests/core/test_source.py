"""Which recorded sources are a commit as it is."""

from typing import Any

import pytest

from ml_assets.core.lineage.source import NOT_VERSIONED, not_clean

CLEAN = {"commit": "c" * 40, "is_dirty": False}
DIRTY = {"commit": "d" * 40, "is_dirty": True}


@pytest.mark.parametrize(
    ("recorded", "phrases"),
    [
        ({"code": CLEAN}, []),
        (CLEAN, []),
        ({"code": CLEAN, "product": CLEAN}, []),
        ({"code": DIRTY}, ["its code is commit dddddddddd with uncommitted changes"]),
        (DIRTY, ["its code is commit dddddddddd with uncommitted changes"]),
        (None, ["its code comes from an unknown commit"]),
        ({"code": None}, ["its code comes from an unknown commit"]),
        ({"code": CLEAN, "product": None}, ["its product comes from an unknown commit"]),
        ({"code": CLEAN, "product": NOT_VERSIONED}, ["its product is not under version control"]),
        (
            {"code": CLEAN | {"is_dirty": None}},
            ["its code is said to be commit cccccccccc, and nobody could look whether its files differ"],
        ),
        (
            {"code": DIRTY, "product": NOT_VERSIONED},
            ["its code is commit dddddddddd with uncommitted changes", "its product is not under version control"],
        ),
    ],
)
def test_only_a_commit_without_changes_is_clean(recorded: dict[str, Any] | None, phrases: list[str]) -> None:
    assert not_clean(recorded) == phrases
