"""The source columns behind each column, whatever the columns are called."""

import pytest

from resources.dbt.column_lineage import trace

NAMES = ["select", "order", "group", "when", "Name", "Sepal.Length", "a b.c", "it's", "a;b", "100%", "_x", "Größe", "🙂", "1st"]


@pytest.mark.parametrize("name", NAMES)
def test_a_column_is_traced_to_its_source_whatever_it_is_called(name: str) -> None:
    columns = {
        "dataset.orders": {"id": "BIGINT", name: "VARCHAR"},
        "orders_requests": {"id": "BIGINT", name: "VARCHAR"},
        "orders_features": {"id": "BIGINT", name: "VARCHAR", "longer": "VARCHAR"},
    }
    sql = {
        "orders_requests": f'select id, "{name}" from "features"."dataset"."orders"',
        "orders_features": f'select *, "{name}" || id as longer from "features"."main"."orders_requests"',
    }
    traced = trace(model="orders_features", sql=sql, columns=columns)
    source, key = ("dataset.orders", name), ("dataset.orders", "id")
    assert {column: set(origins) for column, origins in traced.items()} == {
        "id": {key},
        name: {source},
        "longer": {source, key},
    }
