"""Bytes of a large body are counted by NumPy, of a small one by CPython, with the same result."""

import json
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ml_assets.serving.requests.byte_counts import LARGE_BYTES, colons, count
from ml_assets.serving.requests.parser import RequestDecoder
from ml_assets.serving.requests.refusals import BadRequest
from tests.support.serving_store import REQUEST, payload, requests

DECODER = RequestDecoder(json.dumps(REQUEST).encode())
ROWS = payload(requests(1000, seed=3))
AGAIN = ['"carrier":', '"\\u0063arrier":', '"c\\u0061rrier" :', '"carrier"\n:', '"carrier"\r:', '"carrier"\t:']
SPACED = [space + b":" for space in (b" ", b"\n", b"\r", b"\t")]
PIECES = [b'"', b":", b'":', b'" ', *SPACED, b" ", b"\t", b"{", b"[", b"\\", b"|", b";", b"\x00", b"\xff", b"x" * 50]


@pytest.mark.parametrize("rows", [1, 40, 1000])
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
@pytest.mark.parametrize("name", AGAIN)
def test_a_field_that_is_there_twice_is_found_in_any_row(name: str, separators: tuple[str, str], rows: int) -> None:
    good = [json.dumps(row, separators=separators) for row in ROWS[:rows]]
    assert len(DECODER.decode(f'{{"rows":[{",".join(good)}]}}'.encode())) == rows
    for number in {0, rows // 2, rows - 1}:
        twice = f'{good[number][:-1]},{name}"AA"}}'
        body = f'{{"rows":[{",".join([*good[:number], twice, *good[number + 1 :]])}]}}'.encode()
        assert (len(body) > LARGE_BYTES) == (rows > 1)
        with pytest.raises(BadRequest, match="there twice") as caught:
            DECODER.decode(body)
        assert (caught.value.status, caught.value.detail[0].path) == (422, "carrier")


def test_text_that_looks_like_a_field_is_no_field() -> None:
    rows = [{**row, "tailnum": '", "carrier": {['} for row in ROWS]
    assert len(DECODER.decode(json.dumps({"rows": rows}).encode())) == 1000


@pytest.mark.parametrize(("more", "too_many"), [(b"{", False), (b"{[", True), (b"[{", True), (b'"{["', False), (b'"{["{[', True)])
def test_one_opening_more_than_the_most_rows_need_is_refused_before_parsing(more: bytes, too_many: bool) -> None:
    body = b'{"rows":[' + b"{   },  " * 999 + more
    assert len(body) > LARGE_BYTES
    with pytest.raises(BadRequest) as caught:
        DECODER.decode(body)
    assert (caught.value.reason == "too_many_rows") == too_many


@settings(max_examples=300, deadline=None)
@given(
    st.binary(min_size=1, max_size=40) | st.lists(st.sampled_from(PIECES), min_size=1).map(b"".join),
    st.integers(0, 40) | st.integers(LARGE_BYTES - 40, LARGE_BYTES + 40),
)
@example(b'{"', LARGE_BYTES - 1)
@example(b'":', LARGE_BYTES)
@example(b'":', LARGE_BYTES + 1)
def test_counts_are_those_of_bytes_at_any_size(piece: bytes, size: int) -> None:
    body = (piece * (size // len(piece) + 1))[:size]
    for what in (b"{", b"[", b" ", b"\x00", b"\xff"):
        assert count(body, what) == body.count(what)
    assert colons(body) == len(re.findall(rb'[\x00-"]:', body))
