"""What the endpoint tells of itself: the names of predictions, and metrics."""

import re

from ml_assets.serving.metrics import Metrics, observed_text
from ml_assets.serving.observed import Observed
from ml_assets.serving.prediction_id import is_prediction_id, prediction_id


def test_ids_are_version_seven_and_sort_by_time() -> None:
    ids = [prediction_id() for _ in range(2000)]
    assert len(set(ids)) == 2000
    assert all(len(i) == 36 and i[14] == "7" and i[19] in "89ab" and is_prediction_id(i) for i in ids)
    assert not any(map(is_prediction_id, ("", ids[0][:-1], ids[0].upper() + "x", ids[0].replace("-", "0"))))
    assert [i[:18] for i in ids] == sorted(i[:18] for i in ids)


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
