"""What the endpoint writes down: the prediction log."""

import datetime as dt
import os
import re
from pathlib import Path

import msgspec
import polars as pl
import pytest

from ml_assets.serving.metrics import Metrics, observed_text
from ml_assets.serving.observed import Observed
from ml_assets.serving.prediction_id import prediction_id
from ml_assets.serving.prediction_log import PredictionLog, Record
from ml_assets.serving.prediction_records import PredictionLogError, read


class Asked(msgspec.Struct, frozen=True):
    carrier: str
    distance: int | None


def record(number: int, *, day: int = 1) -> Record:
    at = dt.datetime(2013, 1, day, 10, 0, 0, number)
    return Record(prediction_id(), at, "r1", "production", Asked("AA", number or None), number / 3, number % 2 == 0)


def test_ids_are_version_seven_and_sort_by_time() -> None:
    ids = [prediction_id() for _ in range(2000)]
    assert len(set(ids)) == 2000
    assert all(len(i) == 36 and i[14] == "7" and i[19] in "89ab" for i in ids)
    assert [i[:18] for i in ids] == sorted(i[:18] for i in ids)


def test_records_are_read_as_they_were_made(tmp_path: Path) -> None:
    made = [record(n, day=1 + n % 2) for n in range(10)]
    log = PredictionLog(tmp_path)
    for each in made:
        log.add([each])
    log.close()
    found = read(tmp_path)
    assert (log.written, log.lost, found.torn) == (10, 0, ())
    assert sorted(p.name[:10] for p in tmp_path.iterdir()) == ["2013-01-01", "2013-01-02"]
    expected = sorted(made, key=lambda r: (r.at, r.id))
    assert found.frame["id"].to_list() == [r.id for r in expected]
    assert found.frame["at"].to_list() == [r.at for r in expected]
    assert found.frame["score"].to_list() == [r.score for r in expected]
    assert found.frame["request"].struct.field("distance").to_list() == [
        msgspec.structs.asdict(r.request)["distance"] for r in expected
    ]


def test_two_servers_write_to_files_of_their_own(tmp_path: Path) -> None:
    logs = [PredictionLog(tmp_path), PredictionLog(tmp_path)]
    for number, log in enumerate(logs):
        log.add([record(number)])
        log.close()
    assert len(list(tmp_path.iterdir())) == 2
    assert read(tmp_path).frame.height == 2


def test_a_torn_last_line_is_left_out_and_named(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    log.add([record(1), record(2)])
    log.close()
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-5])
    found = read(tmp_path)
    assert (found.frame.height, found.torn) == (1, (path,))


def test_a_broken_line_in_the_middle_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": 1\n{}\n')
    with pytest.raises(PredictionLogError, match="line 1"):
        read(tmp_path)


def test_an_empty_log_has_the_columns(tmp_path: Path) -> None:
    assert read(tmp_path / "nothing").frame.schema["at"] == pl.Datetime("us")


def test_what_the_disk_refuses_is_counted(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a file where the folder should be")
    log = PredictionLog(tmp_path / "log")
    log.add([record(1), record(2)])
    log.close()
    assert (log.written, log.lost) == (0, 2)


def test_a_short_write_leaves_whole_lines_and_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = PredictionLog(tmp_path)
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, content: real(fd, content[:-7]))
    log.add([record(1)])
    log.close()
    monkeypatch.undo()
    assert (log.written, log.lost) == (0, 1)
    assert read(tmp_path).frame.is_empty()
    assert read(tmp_path).torn == ()


def test_a_full_queue_loses_records_and_counts_them(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, most_waiting_bytes=500)
    for number in range(50):
        log.add([record(number)])
    assert log.lost > 0
    log.close()
    assert log.written + log.lost == 50
    assert read(tmp_path).frame.height == log.written


def test_metrics_are_prometheus_text() -> None:
    metrics = Metrics("flights")
    metrics.requests["/predict", 422] += 1
    metrics.refusals["field"] += 1
    metrics.latency.add(0.004)
    metrics.latency.add(9.0)
    metrics.stage("model", 0.0002)
    text = metrics.text(release='r"1', counters={"predictions_logged": 1}, gauges={"waiting_rows": 3})
    text += observed_text(Observed({}, []), product="flights", release="r1")
    assert 'ml_assets_requests_total{product="flights",path="/predict",status="422"} 1' in text
    assert 'ml_assets_predict_seconds_bucket{product="flights",le="0.005"} 1' in text
    assert 'ml_assets_predict_seconds_bucket{product="flights",le="+Inf"} 2' in text
    assert 'ml_assets_release_info{product="flights",release="r\\"1"} 1' in text
    assert 'ml_assets_refusals_total{product="flights",reason="field"} 1' in text
    assert 'ml_assets_stage_seconds_bucket{product="flights",stage="model",le="0.00025"} 1' in text
    assert 'ml_assets_waiting_rows{product="flights"} 3' in text
    assert [line for line in text.splitlines() if not re.fullmatch(r"# TYPE \S+ \w+|\w+\{[^{}]+\} \S+", line)] == []
