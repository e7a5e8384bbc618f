"""Why something comes out otherwise: every input that a recipe declares, and the order of rows."""

from dataclasses import replace
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.core.lineage.differences import Difference, changed_rows, declared, row_order
from ml_assets.core.lineage.manifests import Input
from tests.support.records import recipe

DETAILS: dict[str, Any] = {
    "environment": {"python": "3.11", "polars": "2.1.0"},
    "code": {"ml_assets.core.model.training": "aa", "contract.py": "bb"},
    "config": {"model": {"depth": 6, "threads": 2, "seed": 7, "params": {"rsm": 0.5}}},
}
MODEL = recipe(stage="model", threads=2, seed=7, details=DETAILS, inputs=(Input("trains/features", "2013-01", "a" * 64),))


def otherwise(part: str, **changes: Any) -> dict[str, Any]:
    return {**DETAILS, part: {**DETAILS[part], **changes}}


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"threads": 1}, Difference("thread count", "threads 2 -> 1")),
        ({"seed": 8}, Difference("seed", "seed 7 -> 8")),
        (
            {"inputs": (Input("trains/features", "2013-01", "b" * 64),)},
            Difference("data", f"trains/features 2013-01 {'a' * 12} -> {'b' * 12}"),
        ),
        ({"inputs": ()}, Difference("data", f"trains/features 2013-01 {'a' * 12} -> nothing")),
        (
            {"environment": "2", "details": otherwise("environment", polars="2.2.0")},
            Difference("library", "polars 2.1.0 -> 2.2.0"),
        ),
        ({"environment": "2"}, Difference("library", "another environment, whose versions were not recorded")),
        (
            {"code": "2", "details": otherwise("code", **{"ml_assets.core.model.training": "cc"})},
            Difference("code", "code of model: ml_assets.core.model.training"),
        ),
        ({"code": "2"}, Difference("code", "code of model: which part was not recorded")),
        (
            {
                "config": "2",
                "details": {**DETAILS, "config": {"model": {**DETAILS["config"]["model"], "depth": 8, "params": {}}}},
            },
            Difference("configuration", "product.yaml: model.depth 6 -> 8; model.params.rsm 0.5 -> nothing"),
        ),
    ],
)
def test_each_declared_input_that_differs_is_the_only_cause(changes: dict[str, Any], cause: Difference) -> None:
    assert declared(MODEL, replace(MODEL, **changes)) == [cause]
    assert [difference.kind for difference in declared(replace(MODEL, **changes), MODEL)] == [cause.kind]
    assert declared(MODEL, MODEL) == []


def test_what_was_not_recorded_in_detail_is_not_guessed() -> None:
    then = replace(MODEL, code="2", environment="2", details={})
    assert [cause.message for cause in declared(then, MODEL)] == [
        "another environment, whose versions were not recorded",
        "code of model: which part was not recorded",
    ]


ROWS = st.lists(st.tuples(st.integers(0, 2), st.none() | st.sampled_from("ab")), min_size=1, max_size=6)


def frame(rows: list[Any]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"n": pl.Int64, "s": pl.String}, orient="row")


@given(ROWS, ROWS | st.none(), st.randoms())
def test_row_order_is_the_cause_exactly_for_the_same_multiset_in_another_order(then: Any, other: Any, random: Any) -> None:
    now = list(then) if other is None else other
    random.shuffle(now)
    same = sorted(map(repr, then)) == sorted(map(repr, now))
    cause = row_order("t.parquet", frame(then), frame(now))
    assert (cause is not None) is (same and then != now)
    assert (changed_rows("t.parquet", frame(then), frame(now)) is None) is same


def test_other_values_columns_and_counts_are_told() -> None:
    then = frame([(1, "a"), (2, None)])
    assert changed_rows("t", then, frame([(1, "a"), (2, "b")])) == "t has other values in s"
    assert changed_rows("t", then, frame([(1, "a")])) == "t has 1 rows, recorded were 2"
    assert changed_rows("t", then, then.rename({"s": "z"})) == "t has other columns: s, z"
