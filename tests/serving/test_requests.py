"""Strict requests: a refusal names the field and what is allowed; nothing is coerced."""

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ml_assets.serving.requests.field import RequestSpecRefused
from ml_assets.serving.requests.parser import Limits, RequestDecoder
from ml_assets.serving.requests.refusals import BadRequest
from tests.support.serving_store import REQUEST, payload, requests

DECODER = RequestDecoder(json.dumps(REQUEST).encode(), limits=Limits(body_bytes=100_000, rows=5))
GOOD = payload(requests(1, seed=2))[0]


def refused(body: bytes | str) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        DECODER.decode(body.encode() if isinstance(body, str) else body)
    return caught.value


def outcome(body: bytes) -> tuple[int, Any]:
    try:
        return 200, DECODER.decode(body)
    except BadRequest as error:
        return error.status if json.loads(error.body())["detail"][0]["message"] else 0, []


def with_value(name: str, literal: str) -> str:
    return json.dumps({**GOOD, name: "PLACE"}).replace('"PLACE"', literal)


def test_one_object_and_many_rows_are_decoded_in_order() -> None:
    rows = payload(requests(4, seed=1))
    decoded: Any = DECODER.decode(json.dumps({"rows": rows}).encode())
    assert [row.distance for row in decoded] == [row["distance"] for row in rows]
    assert DECODER.decode(json.dumps(rows[0]).encode()) == decoded[:1]
    assert DECODER.convert(rows) == list(decoded)


@pytest.mark.parametrize(
    ("name", "literal", "message"),
    [
        ("wind_speed", "NaN", "finite"),
        ("wind_speed", "-Infinity", "finite"),
        ("wind_speed", "1e400", "finite"),
        ("wind_speed", "true", "got `bool`"),
        ("wind_speed", '"3"', "got `str`"),
        ("wind_speed", "-0.5", ">= 0"),
        ("distance", "true", "got `bool`"),
        ("distance", "100.0", "got `float`"),
        ("distance", "6001", "<= 6000"),
        ("distance", "0", ">= 1"),
        ("distance", "123456789012345678901234567890", "<= 6000"),
        ("distance", "null", "got `null`"),
        ("distance", "[[[[1]]]]", "got `array`"),
        ("is_holiday", "1", "got `int`"),
        ("carrier", '"ZZ"', "ZZ"),
        ("carrier", "{}", "got `object`"),
        ("scheduled_at", '"yesterday"', "Invalid"),
        ("scheduled_at", '"0001-01-01T00:00:00+01:00"', "no time of the years 1 to 9999"),
        ("scheduled_at", "1357034400", "got `int`"),
    ],
)
def test_a_bad_value_is_refused_with_its_field_and_what_is_allowed(name: str, literal: str, message: str) -> None:
    error = refused(with_value(name, literal))
    assert (error.status, error.detail[0].path) == (422, name)
    assert message in error.detail[0].message
    assert error.detail[0].allowed == next(field for field in DECODER.fields if field.name == name).allowed()


@pytest.mark.parametrize("written", ["2013-01-01T10:00:00Z", "2013-01-01T12:00:00+02:00", "2013-01-01T05:00:00-05:00"])
def test_a_timestamp_with_a_zone_is_the_same_moment_in_utc(written: str) -> None:
    plain, zoned = ({**GOOD, "scheduled_at": text} for text in ("2013-01-01T10:00:00", written))
    expected = DECODER.decode(json.dumps(plain).encode())
    assert DECODER.decode(json.dumps(zoned).encode()) == expected == DECODER.convert([zoned])
    many = DECODER.decode(json.dumps({"rows": [plain, zoned]}).encode())
    assert many == [*expected, *expected]


def test_a_field_may_have_a_name_with_spaces_or_a_word_of_python() -> None:
    fields = [{"name": name, "type": "integer"} for name in ("Order items", "from", "größe", "a.b")]
    decoder = RequestDecoder(json.dumps(fields).encode())
    request = {"Order items": 1, "from": 2, "größe": 3, "a.b": 4}
    (row,) = decoder.decode(json.dumps(request).encode())
    assert msgspec.structs.astuple(row) == (1, 2, 3, 4)
    assert msgspec.json.decode(msgspec.json.encode(row)) == request
    with pytest.raises(BadRequest) as caught:
        decoder.decode(json.dumps({**request, "Order items": "x"}).encode())
    assert caught.value.detail[0].path == "Order items"


def test_the_path_names_the_row() -> None:
    rows = [GOOD, GOOD, {**GOOD, "carrier": "ZZ"}]
    assert refused(json.dumps({"rows": rows})).detail[0].path == "rows[2].carrier"
    body = json.dumps({"rows": [GOOD, {**GOOD, "wind_speed": math.nan}]})
    assert (refused(body).status, refused(body).detail[0].path) == (422, "rows[1].wind_speed")


def test_unknown_and_missing_fields_are_named() -> None:
    unknown = refused(json.dumps({"rows": [GOOD, {**GOOD, "arr_delay": 3}]}))
    assert (unknown.status, unknown.detail[0].path) == (422, "rows[1].arr_delay")
    assert unknown.detail[0].allowed == sorted(GOOD)
    missing = refused(json.dumps({name: value for name, value in GOOD.items() if name != "carrier"}))
    assert (missing.status, missing.detail[0].path) == (422, "carrier")
    assert refused(json.dumps({"rows": [GOOD], "more": 1})).status == 422


@pytest.mark.parametrize("count", [0, 6])
def test_the_number_of_rows_is_limited(count: int) -> None:
    error = refused(json.dumps({"rows": [GOOD] * count}))
    assert (error.status, error.detail[0].path) == (422, "rows")
    assert error.detail[0].allowed == {"type": "array", "rows": [1, 5]}


def test_a_large_body_is_too_large() -> None:
    assert refused(b" " * 100_001).status == 413


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"nonsense", b"\xff\xfe", b'{"tailnum": "\\ud800"}'],
)
def test_what_is_not_json_is_malformed(body: bytes) -> None:
    assert refused(body).status == 400


@pytest.mark.parametrize("first", [{"carrier": 5}, {"more": 1}, {"scheduled_at": "2013-01-16"}])
@pytest.mark.parametrize("many", [True, False])
def test_text_that_is_not_utf_8_is_malformed_also_after_another_mistake(first: dict[str, Any], many: bool) -> None:
    row = {**first, **{name: value for name, value in GOOD.items() if name not in first}, "tailnum": "N!5"}
    error = refused(json.dumps({"rows": [row]} if many else row).encode().replace(b"!", b"\xf6"))
    assert (error.status, error.reason) == (400, "not_json")
    assert error.detail[0].message.startswith("the body is not JSON: 'utf-8' codec")


def test_an_ignored_field_that_is_not_utf_8_or_nested_too_deeply_is_malformed() -> None:
    lenient = RequestDecoder(json.dumps(REQUEST).encode(), limits=Limits(unknown_fields="ignore"))
    row = json.dumps(GOOD)[:-1].encode()
    with pytest.raises(BadRequest, match="the body is not JSON: 'utf-8' codec"):
        lenient.decode(row + b', "more": "\xf6"}')
    refusals = set()
    for depth in range(1, 1001):  # msgspec and json differ in how deep they go
        try:
            lenient.decode(row + b', "more": ' + b"[" * depth + b"]" * depth + b"}")
        except BadRequest as error:
            refusals.add((error.status, str(error)))
    assert refusals == {(400, "the body is nested too deeply")}


@pytest.mark.parametrize("body", [b'{"x":' * 9000, b'{"rows":' + b"[" * 90_000, b"[{" * 5, b'{"rows":[' + b"{}," * 6])
def test_more_openings_than_the_most_rows_need_are_refused_before_parsing(body: bytes) -> None:
    error = refused(body)
    assert (error.status, error.detail[0].path, error.reason) == (422, "rows", "too_many_rows")


def test_brackets_in_text_open_nothing() -> None:
    row = {**GOOD, "tailnum": '[[{"[' * 50}
    (decoded,) = DECODER.decode(json.dumps(row).encode())
    assert msgspec.structs.asdict(decoded)["tailnum"] == row["tailnum"]


@pytest.mark.parametrize("gap", ["", " ", "\n", "\t \r\n"])
@pytest.mark.parametrize("many", [True, False])
def test_a_field_that_is_there_twice_is_refused(gap: str, many: bool) -> None:
    one = json.dumps(GOOD)[:-1]
    twice = f'{one}, "carrier"{gap}:{gap}"AA"}}'
    error = refused(f'{{"rows": [{json.dumps(GOOD)}, {twice}]}}' if many else twice)
    assert (error.status, error.detail[0].path, error.detail[0].message) == (422, "carrier", "the field is there twice")


def test_text_that_looks_like_a_field_is_no_field() -> None:
    row = {**GOOD, "tailnum": '", "carrier": "', "carrier": GOOD["carrier"]}
    assert len(DECODER.decode(json.dumps(row).encode())) == 1
    assert len(DECODER.decode(json.dumps({"rows": [row] * 3}, indent=2).encode())) == 3


def test_unknown_fields_are_ignored_where_the_endpoint_says_so() -> None:
    lenient = RequestDecoder(json.dumps(REQUEST).encode(), limits=Limits(unknown_fields="ignore"))
    row = json.dumps({**GOOD, "more": 1})
    (ignored,), (plain,) = lenient.decode(row.encode()), DECODER.decode(json.dumps(GOOD).encode())
    assert msgspec.structs.astuple(ignored) == msgspec.structs.astuple(plain)
    with pytest.raises(BadRequest, match="twice"):
        lenient.decode(f'{row[:-1]}, "more": {"9" * 6000}}}'.encode())


@pytest.mark.parametrize("body", ["[]", "null", "3", '"x"', "true", "{}", '{"rows": {}}', '{"rows": [[]]}', '{"rows": null}'])
def test_json_of_another_shape_is_refused(body: str) -> None:
    assert refused(body).status == 422


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=[])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*GOOD, "rows", "x"]), inner, max_size=6),
)


@pytest.mark.long
@settings(max_examples=400, deadline=None)
@given(JSON | st.fixed_dictionaries({name: JSON | st.just(value) for name, value in GOOD.items()}))
@example({"rows": [GOOD]})
def test_any_json_is_decoded_within_the_contract_or_refused(value: Any) -> None:
    status, rows = outcome(json.dumps(value).encode("utf-8", "surrogatepass"))
    assert status in (200, 400, 422)
    assert all(row.wind_speed is None or 0 <= row.wind_speed < math.inf for row in rows)
    assert all(type(row.distance) is int and type(row.is_holiday) is bool for row in rows)


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_refused_or_decoded(body: bytes) -> None:
    assert outcome(body)[0] in (200, 400, 422)


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [{"name": "rows", "type": "string"}],
        [{"name": "a", "type": "string"}, {"name": "a", "type": "number"}],
        [{"name": "a", "type": "decimal"}],
        [{"name": "a", "type": "string", "ge": 1}],
        [{"name": "a", "type": "number", "isin": [1, 2]}],
        [{"name": "a", "type": "string", "isin": [1]}],
        [{"name": "a", "type": "string", "isin": []}],
        [{"name": "a", "type": "string", "known": []}],
        [{"name": "a", "type": "string", "known": ["a", 1]}],
        [{"name": "a", "type": "integer", "known": ["a"], "ge": 1}],
        [{"name": "a", "type": "number", "known": [1]}],
        [{"name": "a", "type": "boolean", "known": [1]}],
        [{"name": "a", "type": "string", "known": ["b"], "isin": ["a"]}],
        [{"name": "a", "type": "string", "pattern": "x"}],
    ],
)
def test_a_description_that_cannot_be_enforced_is_refused(fields: list[dict[str, Any]]) -> None:
    with pytest.raises(RequestSpecRefused, match=r"request\.json"):
        RequestDecoder(json.dumps(fields).encode())


@pytest.mark.parametrize(
    ("limits", "taken", "refused"),
    [
        ({"known": ["é", "b"]}, ["b", "é"], ["a", "", "E\u0301"]),
        ({"known": ["a", "b", "c"], "isin": ["b", "c", "d"]}, ["b", "c"], ["a", "d"]),
        ({"type": "integer", "known": [-(2**63), 3, 5, 9], "ge": 4, "le": 8}, [5], [3, 4, 9, -(2**63)]),
        ({"known": ["a"], "nullable": True}, ["a", None], ["b"]),
    ],
)
def test_of_a_field_with_known_values_no_other_is_taken(limits: dict[str, Any], taken: list[Any], refused: list[Any]) -> None:
    decoder = knowing(limits)
    for value in taken:
        assert [msgspec.structs.astuple(row) for row in decoder.decode(json.dumps({"field": value}).encode())] == [(value,)]
    for value in refused:
        for ask in (lambda row: decoder.decode(json.dumps(row).encode()), lambda row: decoder.convert([row])):
            with pytest.raises(BadRequest, match="the training saw no") as caught:
                ask({"field": value})
            assert (caught.value.status, caught.value.reason, caught.value.detail[0].path) == (422, "unknown_category", "field")


def test_null_and_other_types_are_refused_as_everywhere() -> None:
    for value in (None, 1, True, ["a"]):
        with pytest.raises(BadRequest, match="Expected `str`") as caught:
            knowing({"known": ["a"]}).decode(json.dumps({"field": value}).encode())
        assert (caught.value.status, caught.value.reason) == (422, "field")


def test_a_client_sees_the_known_values_or_of_many_the_first_and_their_number() -> None:
    few, many = ([f"N{n:03}" for n in range(count)] for count in (100, 101))
    described = {"type": "string", "nullable": False}
    assert knowing({"known": few}).fields[0].allowed() == {**described, "known": tuple(few)}
    assert knowing({"known": many}).fields[0].allowed() == {**described, "known": tuple(many[:10]), "known_count": 101}


def knowing(limits: dict[str, Any]) -> RequestDecoder:
    return RequestDecoder(json.dumps([{"name": "field", "type": "string", **limits}]).encode())


TAKEN = ["AA", "B6", "é", "", "x' - at `$.field`"]
VALUES = st.sampled_from(TAKEN) | st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@settings(max_examples=300, deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=5))
@example(["AA", "y' - at `$.rows[0]`"])
def test_any_value_that_is_not_known_is_refused_with_the_path_of_the_first(values: list[str]) -> None:
    body = json.dumps({"rows": [{"field": value} for value in values]}).encode()
    wrong = [number for number, value in enumerate(values) if value not in TAKEN]
    if not wrong:
        assert len(knowing({"known": TAKEN}).decode(body)) == len(values)
        return
    with pytest.raises(BadRequest) as caught:
        knowing({"known": TAKEN}).decode(body)
    error = caught.value
    assert (error.status, error.reason, error.detail[0].path) == (422, "unknown_category", f"rows[{wrong[0]}].field")
    assert error.detail[0].allowed["known"] == tuple(TAKEN)
