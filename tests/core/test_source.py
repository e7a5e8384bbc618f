"""Which recorded sources are a commit of the default branch as it is."""

from typing import Any

import pytest

from ml_assets.core.lineage.source import NOT_VERSIONED, not_merged

CLEAN = {"commit": "c" * 40, "is_dirty": False, "is_merged": True}
STATED = {"commit": "c" * 40, "is_dirty": None}
DIRTY = {"commit": "d" * 40, "is_dirty": True}

UNKNOWN = (
    "its code is commit cccccccccc, and git cannot tell whether the default branch contains it: a shallow clone needs its history"
)


@pytest.mark.parametrize(
    ("recorded", "phrases"),
    [
        ({"code": CLEAN}, []),
        (CLEAN, [UNKNOWN]),
        ({"code": CLEAN, "product": CLEAN}, []),
        ({"code": DIRTY}, ["its code is commit dddddddddd with uncommitted changes"]),
        (DIRTY, ["its code is commit dddddddddd with uncommitted changes"]),
        (None, ["its code comes from an unknown commit"]),
        ({"code": None}, ["its code comes from an unknown commit"]),
        ({"code": CLEAN, "product": None}, ["its product comes from an unknown commit"]),
        ({"code": CLEAN, "product": NOT_VERSIONED}, ["its product is not under version control"]),
        ({"code": CLEAN | {"is_merged": False}}, ["its code is commit cccccccccc, which the default branch does not contain"]),
        ({"code": CLEAN | {"is_merged": None}}, [UNKNOWN]),
        ({"code": {"commit": "c" * 40, "is_dirty": False}}, [UNKNOWN]),
        ({"code": STATED | {"is_merged": True}}, []),
        (
            {"code": STATED},
            ["its code is said to be commit cccccccccc, and not to be merged: ML_ASSETS_MERGED=true says so where it is"],
        ),
        (
            {"code": DIRTY, "product": NOT_VERSIONED},
            ["its code is commit dddddddddd with uncommitted changes", "its product is not under version control"],
        ),
    ],
)
def test_only_an_unchanged_commit_of_the_default_branch_is_merged(recorded: dict[str, Any] | None, phrases: list[str]) -> None:
    assert not_merged(recorded) == phrases
