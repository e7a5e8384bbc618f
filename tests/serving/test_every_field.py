"""A client learns all that is wrong with a request at once; dates are midnights, and impossible times and keys are refused."""

import datetime as dt
import json
from typing import Any

import pytest

from ml_assets.serving.requests.all_mistakes import MOST_NAMED
from ml_assets.serving.requests.parser import Limits, RequestDecoder
from ml_assets.serving.requests.refusals import BadRequest

FIELDS: list[dict[str, Any]] = [
    {"name": "id", "type": "string"},
    {"name": "asked_at", "type": "timestamp"},
    {"name": "born", "type": "timestamp", "nullable": True},
    {"name": "rooms", "type": "integer", "ge": 1, "le": 9},
    {"name": "city", "type": "string", "isin": ["Bonn", "Ulm"]},
]
GOOD = {"id": "a", "asked_at": "2024-03-01T10:00:00", "born": None, "rooms": 3, "city": "Bonn"}
DECODER = RequestDecoder(json.dumps(FIELDS).encode(), limits=Limits(rows=100), key=["id"], time="asked_at")


def refused(body: Any) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        DECODER.decode(json.dumps(body).encode())
    return caught.value


def paths(body: Any) -> list[str]:
    return [reason.path for reason in refused(body).detail]


def test_every_bad_field_is_named_with_what_is_allowed() -> None:
    bad = {"id": 7, "asked_at": "soon", "rooms": 12, "city": "Köln", "colour": "red"}
    error = refused(bad)
    assert error.status == 422
    assert {reason.path for reason in error.detail} == {"id", "asked_at", "born", "rooms", "city", "colour"}
    reasons = {reason.path: reason for reason in error.detail}
    assert reasons["rooms"].allowed == {"type": "integer", "nullable": False, "ge": 1, "le": 9}
    assert reasons["born"].message == "required field is missing"
    assert reasons["colour"].message == "unknown field"


def test_bad_fields_of_many_rows_are_named_by_row() -> None:
    rows = [GOOD, {**GOOD, "id": "b", "rooms": 0}, {**GOOD, "id": 3, "city": ""}]
    assert sorted(paths({"rows": rows})) == ["rows[1].rooms", "rows[2].city", "rows[2].id"]


def test_no_more_than_a_screenful_is_named() -> None:
    error = refused({"rows": [{**GOOD, "id": str(number), "rooms": 0} for number in range(50)]})
    assert len(error.detail) == MOST_NAMED + 1
    assert error.detail[-1].message == "more fields are wrong than are named here"


def test_one_bad_field_is_one_reason() -> None:
    assert paths({**GOOD, "rooms": 0}) == ["rooms"]
    assert paths([1]) == [""]
    assert paths({"rows": 3}) == ["rows"]


@pytest.mark.parametrize("many", [False, True])
def test_a_bare_date_is_its_midnight(many: bool) -> None:
    row = {**GOOD, "asked_at": "2024-03-01", "born": "1987-12-24"}
    rows = DECODER.decode(json.dumps({"rows": [row, {**GOOD, "id": "b"}]} if many else row).encode())
    assert getattr(rows[0], "asked_at") == dt.datetime(2024, 3, 1)  # noqa: B009 - the row's type is made from the fields
    assert getattr(rows[0], "born") == dt.datetime(1987, 12, 24)  # noqa: B009


@pytest.mark.parametrize("text", ["2024-02-30", "2024-3-1", "24-03-01", "2024-03-01 "])
def test_what_is_no_date_is_refused(text: str) -> None:
    assert paths({**GOOD, "asked_at": text}) == ["asked_at"]


@pytest.mark.parametrize("year", [1399, 9999, 1])
def test_a_question_is_asked_in_a_possible_year(year: int) -> None:
    error = refused({**GOOD, "asked_at": f"{year:04}-12-10T18:14:00"})
    assert (error.detail[0].path, error.detail[0].message) == (
        "asked_at",
        f"no request is about the year {year}; allowed: 1583 to 2199",
    )


def test_other_times_may_be_of_any_year() -> None:
    assert DECODER.decode(json.dumps({**GOOD, "born": "9999-12-31T00:00:00"}).encode())


def test_two_rows_of_one_request_ask_about_different_things() -> None:
    error = refused({"rows": [GOOD, {**GOOD, "id": "b"}, {**GOOD, "rooms": 2}]})
    assert error.detail[0].path == "rows[2].id"
    assert error.detail[0].message == "the key is that of rows[0]; each row asks about another one"
    assert error.reason == "key_twice"
