"""Known categories are those of the rows trained on, and a release is tried with requests that it takes."""

import json

import numpy as np
import polars as pl
import pytest

from ml_assets.core.lineage.stages import STAGES, stage_config
from ml_assets.core.model.known_categories import NothingKnown, evenly_spaced, known_values, recorded_known
from ml_assets.core.release.bundle import golden
from ml_assets.spec.product import Product
from ml_assets.spec.sections import EndpointSpec

REQUESTS = pl.DataFrame({"trip": [1, 2, 3, 4], "line": ["B", None, "A", "C"], "stops": [3, 3, -1, 9]})
FEATURES = pl.DataFrame({"trip": [4, 3, 2, 1], "is_late": [None, 1.0, 0.0, 1.0]})
"""The outcome of the fourth trip is not known, so it is not trained on. Both in another order."""


def with_policy(product: Product, **policy: str) -> Product:
    endpoint = EndpointSpec.model_validate({"port": 8811, "unknown_categories": policy})
    return product.model_copy(update={"endpoint": endpoint})


def test_known_are_the_values_of_rows_with_a_label_from_every_partition_in_order(product: Product) -> None:
    more = REQUESTS.with_columns(line=pl.lit("Z", pl.String), stops=pl.lit(None, pl.Int64))
    known = known_values(product, ["line", "stops"], [(FEATURES, REQUESTS), (FEATURES, more)])
    assert known == {"line": ["A", "B", "Z"], "stops": [-1, 3]}


def test_a_column_without_any_value_to_know_is_an_error_that_names_it(product: Product) -> None:
    empty = REQUESTS.with_columns(stops=pl.lit(None, pl.Int64))
    with pytest.raises(NothingKnown, match=r"no row trained on has a value of stops.*leave stops out of endpoint"):
        known_values(product, ["line", "stops"], [(FEATURES, empty)])


@pytest.mark.parametrize(
    ("known", "rows", "chosen"),
    [
        ({}, 9, [0, 1, 2, 3]),
        ({}, 2, [0, 3]),
        ({"line": ["A", "B"]}, 9, [0, 1, 2]),
        ({"line": ["A", "B"]}, 2, [0, 2]),
        ({"line": ["A", "B"], "stops": [3, 9]}, 9, [0, 1]),
    ],
)
def test_a_release_is_tried_with_requests_spread_over_those_that_it_takes(
    product: Product, known: dict[str, list[str | int]], rows: int, chosen: list[int]
) -> None:
    assert evenly_spaced(product, REQUESTS, known=known, kept=pl.repeat(True, REQUESTS.height, eager=True), rows=rows) == chosen


def test_nothing_to_try_a_release_with_is_an_error_that_says_what_to_do(product: Product) -> None:
    with pytest.raises(
        NothingKnown, match=r"each of the 4 requests .* a value of stops that .*; train on more partitions, or let"
    ):
        golden(product, REQUESTS, np.zeros(4), known={"stops": [7]})


def test_what_a_bundle_does_not_restrict_is_not_known() -> None:
    assert recorded_known(json.dumps([{"name": "a"}, {"name": "b", "known": ["x"]}]).encode()) == {"b": ["x"]}


def test_another_policy_makes_another_release_and_another_port_does_not(product: Product) -> None:
    policies: list[dict[str, str]] = [{}, {"line": "refuse"}, {"line": "refuse", "stops": "refuse"}]
    configs = [stage_config(with_policy(product, **policy), STAGES["release"]) for policy in policies]
    assert [config["endpoint"] for config in configs] == [{"unknown_categories": policy} for policy in policies]
    assert with_policy(product, line="refuse", stops="score").endpoint.refused_categories == ("line",)
