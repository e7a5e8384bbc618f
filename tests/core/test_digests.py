"""Equal values have one name, and different values different names."""

import hashlib
import json
import math
import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.core.digests import CHUNK_BYTES, canonical_json, digest_file, digest_json, sha256
from ml_assets.core.frames import parquet_bytes

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


def rearranged(value: Any, shuffle: random.Random) -> Any:
    """An equal value: keys in another order, tuples for lists."""
    if isinstance(value, dict):
        items = [(key, rearranged(item, shuffle)) for key, item in value.items()]
        shuffle.shuffle(items)
        return dict(items)
    if isinstance(value, list):
        return tuple(rearranged(item, shuffle) for item in value)
    return value


@given(VALUES, st.randoms(use_true_random=False))
def test_equal_values_give_equal_bytes(value: Any, shuffle: random.Random) -> None:
    assert canonical_json(rearranged(value, shuffle)) == canonical_json(value)


@given(VALUES)
def test_a_value_comes_back_from_its_bytes_so_different_values_differ(value: Any) -> None:
    content = canonical_json(value)
    assert json.loads(content) == value
    assert canonical_json(json.loads(content)) == content


def test_the_bytes_are_utf8_with_sorted_keys_and_no_spaces() -> None:
    assert canonical_json({"b": [1, 2.5, None], "a": "ü"}) == '{"a":"ü","b":[1,2.5,null]}'.encode()
    assert digest_json([]) == "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf, "\ud800", {1: "a"}, {None: "a"}, {("a",): 1}])
@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: {"a": [1, v]}, lambda v: ({"a": {"b": v}},)])
def test_what_json_would_not_give_back_is_refused(wrong: Any, wrap: Any) -> None:
    with pytest.raises(ValueError, match=r"JSON|surrogates"):
        canonical_json(wrap(wrong))


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1])
def test_a_file_is_named_by_all_of_its_bytes(tmp_path: Path, size: int) -> None:
    content = random.Random(size).randbytes(size)
    (tmp_path / "file").write_bytes(content)
    assert digest_file(tmp_path / "file") == sha256(content) == hashlib.sha256(content).hexdigest()


FRAMES = st.lists(
    st.tuples(
        st.none() | st.integers(-5, 5),
        st.none() | st.sampled_from(["", "a", "ü", "long enough to be kept apart from the others"]),
        st.none() | st.floats(allow_nan=True),
        st.none() | st.booleans(),
        st.none() | st.datetimes(),
    ),
    min_size=1,
    max_size=30,
).map(
    lambda rows: pl.DataFrame(
        rows,
        schema={"i": pl.Int64, "s": pl.String, "f": pl.Float64, "b": pl.Boolean, "t": pl.Datetime("us")},
        orient="row",
    )
)


@given(FRAMES, st.lists(st.integers(0, 30), max_size=4))
def test_the_same_rows_in_other_chunks_give_equal_parquet(frame: pl.DataFrame, cuts: list[int]) -> None:
    borders = [0, *sorted(min(cut, frame.height) for cut in cuts), frame.height]
    chunks = [frame.slice(a, b - a) for a, b in pairwise(borders)]
    whole = parquet_bytes(frame)
    assert parquet_bytes(pl.concat(chunks, rechunk=False)) == whole
    assert parquet_bytes(pl.concat([frame, frame]).slice(frame.height)) == whole
    assert parquet_bytes(pl.DataFrame(frame.to_dicts(), schema=frame.schema)) == whole


@given(FRAMES)
def test_parquet_gives_back_the_rows_and_shows_another_order(frame: pl.DataFrame) -> None:
    content = parquet_bytes(frame)
    assert pl.read_parquet(content).equals(frame)
    turned = frame.reverse()
    assert (parquet_bytes(turned) == content) == turned.equals(frame)
