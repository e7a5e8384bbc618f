"""Records of predictions and their ids, and the metrics."""

import io
import json
import math
import re
import time
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from ml_assets.serving.http.prometheus import Metrics, observed_families, render
from ml_assets.serving.log.prediction_id import is_prediction_id, prediction_id, prediction_ids
from ml_assets.serving.log.record import GROUP_ROWS, Predictions, Sent, parquet, table
from ml_assets.serving.release.observed_counts import ObservedCounts
from tests.support.logged import predicted


def test_ids_are_version_seven_and_sort_by_time() -> None:
    ids = [prediction_id() for _ in range(2000)]
    assert len(set(ids)) == 2000
    assert all(len(i) == 36 and i[14] == "7" and i[19] in "89ab" and is_prediction_id(i) for i in ids)
    assert not any(map(is_prediction_id, ("", ids[0][:-1], ids[0].upper() + "x", ids[0].replace("-", "0"))))
    assert [i[:18] for i in ids] == sorted(i[:18] for i in ids)


@pytest.mark.parametrize("count", [0, 1, 2, 100, 4096])
def test_ids_of_one_moment_sort_as_they_come_and_end_in_the_same_random_bits(count: int) -> None:
    before = time.time_ns() // 1_000_000
    ids = prediction_ids(count)
    assert len(ids) == len(set(ids)) == count
    assert ids == sorted(ids)
    assert all(map(is_prediction_id, ids))
    assert len({id[-12:] for id in ids}) == min(count, 1)
    assert all(before <= int(id[:8] + id[9:13], 16) <= time.time_ns() // 1_000_000 for id in ids)


def test_all_48_random_bits_of_an_id_vary() -> None:
    tails = [int(prediction_id()[-12:], 16) for _ in range(200)]
    assert len(set(tails)) == 200
    assert all(0 < sum(tail >> bit & 1 for tail in tails) < 200 for bit in range(48))


NASTY = 'a\n\r\u2028\x00"}\\'


@given(st.lists(st.tuples(st.sampled_from(["r1", "r2"]), st.integers(0, 10)), min_size=1, max_size=4), st.integers(1, 12))
def test_predictions_in_parts_are_the_same_rows(releases: list[tuple[str, int]], most: int) -> None:
    batches = [
        predicted(*range(rows), release=release, request=lambda n: {"text": NASTY * n, "n": n}) for release, rows in releases
    ]
    parts = [part for batch in batches for part in batch.parts(most)]
    assert max(map(len, parts)) <= most
    whole = table(batches)
    assert table(parts).equals(whole)
    assert parquet(table(parts)) == parquet(whole)
    assert whole["release"].to_pylist() == [release for release, rows in releases for _ in range(rows)]
    expected = [{"text": NASTY * n, "n": n} for _, rows in releases for n in range(rows)]
    assert [msgspec.json.decode(line) for line in whole["request"].to_pylist()] == expected


ROWS_SENT = st.lists(
    st.fixed_dictionaries({"text": st.text(max_size=8) | st.sampled_from(["{", "}", "}{", '"{', "\\"]), "n": st.integers(0, 9)}),
    min_size=1,
    max_size=5,
)
SPACED: list[dict[str, Any]] = [{}, {"separators": (",", ":")}, {"indent": 2}, {"ensure_ascii": False}]


def as_sent(body: bytes, rows: int) -> Predictions:
    """Predictions for the rows of a body."""
    return msgspec.structs.replace(predicted(*range(rows)), requests=Sent(body, rows))


@given(st.lists(st.tuples(ROWS_SENT, st.integers(0, len(SPACED) - 1), st.booleans()), min_size=1, max_size=6))
def test_what_the_log_cuts_out_of_bodies_is_each_rows_own_text(bodies: list[tuple[list[dict[str, Any]], int, bool]]) -> None:
    batches, texts = [], []
    for rows, form, is_alone in bodies:
        sent = rows[:1] if is_alone else rows
        body = json.dumps(sent[0] if is_alone else {"rows": sent}, **SPACED[form]).encode()
        batches.append(as_sent(body, len(sent)))
        texts += [json.dumps(row, **SPACED[form]) for row in sent]
    logged = table(batches)["request"].to_pylist()
    assert [re.sub(r"\n *", "", text) for text in logged] == [re.sub(r"\n *", "", text) for text in texts]


SCORES = st.lists(st.floats() | st.sampled_from([math.nan, -0.5, 0.0, 1.0]), max_size=4)
IN_TEXT = [b'{"text":"}{"}', b'{"text":"{"}', b'{"text":"}"}', b' {"text":"}"} ']
BRACES = [*IN_TEXT, b'{"rows":[{"text":"}"}]}', b' {"rows":[{"text":"a"}]}']


@pytest.mark.parametrize("odd", BRACES)
def test_a_body_in_which_text_has_braces_or_that_begins_otherwise_is_cut_between_others(odd: bytes) -> None:
    plain = b' {"text":"b"} ', b'{"rows": [{"n":1} ,\t{"n":2}]}'
    batches = [as_sent(plain[0], 1), as_sent(odd, 1), as_sent(odd, 1), as_sent(plain[1], 2), as_sent(odd, 1)]
    text = odd.decode()[odd.rindex(b'{"text') :].removesuffix("]}").strip()
    expected = ['{"text":"b"}', text, text, '{"n":1}', '{"n":2}', text]
    assert table(batches)["request"].to_pylist() == expected


@given(st.lists(st.tuples(st.sampled_from([None, -0.5, 0.0, 1.0]), SCORES), min_size=1, max_size=5))
def test_a_decision_says_whether_the_score_reaches_its_releases_threshold(cases: list[tuple[float | None, list[float]]]) -> None:
    batches = [
        msgspec.structs.replace(predicted(*range(len(scores))), scores=np.array(scores), threshold=threshold)
        for threshold, scores in cases
    ]
    expected = [None if t is None or math.isnan(s) else s >= t for t, scores in cases for s in scores]
    assert table(batches)["decision"].to_pylist() == expected


@given(
    st.lists(st.sampled_from([1, GROUP_ROWS - 1, GROUP_ROWS, 2 * GROUP_ROWS + 1]) | st.integers(1, 99), min_size=1, max_size=4)
)
@settings(max_examples=10, deadline=None)
def test_tables_are_written_as_full_groups_in_their_order(sizes: list[int]) -> None:
    rows = table([predicted(*range(100))]).take(np.arange(sum(sizes)) % 100)
    starts = np.cumsum([0, *sizes])
    content = parquet(pa.concat_tables(rows.slice(start, size) for start, size in zip(starts, sizes, strict=False)))
    file = pq.ParquetFile(io.BytesIO(content))
    rest = sum(sizes) % GROUP_ROWS
    groups = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
    assert groups == [GROUP_ROWS] * (sum(sizes) // GROUP_ROWS) + [rest] * (rest > 0)
    assert file.read().equals(rows)
    assert content == parquet(rows)


def test_one_moment_stands_for_all_rows_of_a_request() -> None:
    several = predicted(1, 2, 3)
    one = msgspec.structs.replace(several, at=several.at[:1])
    assert table([one, several])["at"].to_pylist() == [several.at[0]] * 3 + several.at
    assert table(one.parts(2))["at"].to_pylist() == [several.at[0]] * 3


def test_predictions_need_every_value_for_every_row() -> None:
    predictions = predicted(1, 2, 3)
    for name in ("ids", "at", "requests", "scores"):
        with pytest.raises(ValueError, match="for each row"):
            msgspec.structs.replace(predictions, **{name: getattr(predictions, name)[:2]})
    assert [len(part) for part in predicted().parts(5)] == [0]


def test_metrics_are_prometheus_text() -> None:
    metrics = Metrics("flights")
    metrics.requests["/predict", 422] += 1
    metrics.refusals["field"] += 1
    metrics.latency.add(0.004)
    metrics.latency.add(9.0)
    metrics.stage("model", 0.0002)
    families = metrics.families(release='r"1', counters={"predictions_logged": 1}, gauges={"waiting_rows": 3})
    text = render([*families, *observed_families(ObservedCounts({}, []), product="flights", release="r1")])
    samples = {(s.name, *sorted(s.labels.items())): s.value for f in text_string_to_metric_families(text) for s in f.samples}
    product = ("product", "flights")
    for name, *labels, value in (
        ("ml_assets_requests_total", ("path", "/predict"), product, ("status", "422"), 1),
        ("ml_assets_refusals_total", product, ("reason", "field"), 1),
        ("ml_assets_predict_seconds_bucket", ("le", "0.005"), product, 1),
        ("ml_assets_predict_seconds_bucket", ("le", "+Inf"), product, 2),
        ("ml_assets_predict_seconds_count", product, 2),
        ("ml_assets_predict_seconds_sum", product, 9.004),
        ("ml_assets_stage_seconds_bucket", ("le", "0.00025"), product, ("stage", "model"), 1),
        ("ml_assets_stage_seconds_sum", product, ("stage", "model"), 0.0002),
        ("ml_assets_rows_total", product, 0),
        ("ml_assets_predictions_logged_total", product, 1),
        ("ml_assets_waiting_rows", product, 3),
        ("ml_assets_release_info", product, ("release", 'r"1'), 1),
        ("ml_assets_score_count", product, ("release", "r1"), 0),
    ):
        assert samples[name, *labels] == value
