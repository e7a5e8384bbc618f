"""What a contract's models say, as plain values."""

import pytest

from ml_assets.core.contract.engine import ContractError, columns_known_after, request_fields
from ml_assets.spec.product import Product
from tests.support.trains import product_in


@pytest.fixture(scope="module")
def trains(tmp_path_factory: pytest.TempPathFactory) -> Product:
    return product_in(tmp_path_factory.mktemp("products"))


def test_outcomes_are_the_columns_known_after(trains: Product) -> None:
    assert columns_known_after(trains.contract.TABLES["trips"]) == ["delay"]


def test_a_request_is_described_by_the_contract(trains: Product) -> None:
    free = {"nullable": False, "ge": None, "le": None, "isin": None}
    assert request_fields(trains.contract.Request) == [
        free | {"name": "trip", "type": "integer"},
        free | {"name": "line", "type": "string", "isin": ["A", "B"]},
        free | {"name": "distance", "type": "number", "nullable": True, "ge": 0, "le": 500},
        free | {"name": "stops", "type": "integer", "ge": 1, "le": 99},
        free | {"name": "is_express", "type": "boolean"},
        free | {"name": "departs_at", "type": "timestamp", "ge": "2013-01-01T00:00:00"},
    ]


def test_a_check_that_the_endpoint_cannot_make_is_refused(trains: Product) -> None:
    with pytest.raises(ContractError, match=r"Trips\.(trip|code): the endpoint cannot hold a request to the check"):
        request_fields(trains.contract.TABLES["trips"])


def test_a_limit_that_is_misspelled_is_not_ignored() -> None:
    import pandera.polars as pa

    class Rooms(pa.DataFrameModel):
        room: int = pa.Field(metadata={"max_mising": 0.1})

    with pytest.raises(ContractError, match=r"Rooms\.room: unknown metadata 'max_mising'; did you mean 'max_missing'"):
        columns_known_after(Rooms)
