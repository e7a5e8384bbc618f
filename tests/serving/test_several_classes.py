"""A release of several classes: its scores, its answers, its rows in the prediction log, its explanation."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from ml_assets.serving.http.openapi import document
from ml_assets.serving.http.prediction_answer import answer_of
from ml_assets.serving.log import hour_files
from ml_assets.serving.log.hour_files import compact
from ml_assets.serving.log.prediction_id import prediction_ids
from ml_assets.serving.log.reader import find, read
from ml_assets.serving.log.record import Predictions, parquet, table
from ml_assets.serving.release.bundle import Bundle, load
from ml_assets.serving.release.bundle_files import BundleRefused
from ml_assets.serving.release.explanation import explain
from ml_assets.serving.release.loaded_releases import Serving
from ml_assets.serving.release.pyfunc_model import PyfuncModel, answers_of
from resources.endpoints.pointer import Pointer
from tests.support.logged import log, predicted
from tests.support.serving_store import CLASSES, Release, payload, requests, train

PROFILE = {"score": {"kind": "category", "levels": ["late", "early"], "shares": [0.5, 0.25, 0.25, 0.0]}, "columns": {}}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Release]:
    folder = tmp_path_factory.mktemp("bundle") / "r1"
    release = train(folder, name="r1", seed=1, task="multiclass")
    (folder / "profile.json").write_text(json.dumps(PROFILE))
    return folder, release


@pytest.fixture(scope="module")
def bundle(original: tuple[Path, Release]) -> Bundle:
    return load(original[0])


@pytest.mark.parametrize("count", [1, 300])
def test_served_scores_of_several_classes_are_the_offline_scores_bit_for_bit(
    bundle: Bundle, original: tuple[Path, Release], count: int
) -> None:
    frame = requests(count, seed=count)
    scores = bundle.score(payload(frame))
    assert scores == original[1].scores(frame)
    assert np.shape(scores) == (count, 3)
    assert bundle.engines.why_not_scorer == "several values a row"


def test_a_bundle_whose_model_knows_other_classes_is_refused(original: tuple[Path, Release], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(original[0], tmp_path / "bundle"))
    card = json.loads((folder / "bundle.json").read_text())
    (folder / "bundle.json").write_text(json.dumps({**card, "classes": CLASSES[:2]}))
    with pytest.raises(BundleRefused, match=r"scores of 3 classes, and bundle\.json names 2"):
        load(folder)


def test_an_answer_names_the_classes_and_the_most_probable_one_and_the_log_has_a_column_for_each(
    bundle: Bundle, tmp_path: Path
) -> None:
    rows = bundle.requests.convert(payload(requests(20, seed=3)))
    scores = bundle.score_structs(rows)
    about = {"as_of": "2013-01", "since": "2013-02-01T00:00:00", "by": "test", "reason": "a test"}
    serving = Serving(bundle, Pointer(release="r1", bundle="b" * 64, **about), loaded_seconds=0.0)
    answer, predictions = answer_of(serving, "production", at=1_700_000_000.0, requests=rows, scores=scores)
    named = document(bundle.requests, bundle.card)["components"]["schemas"]["Answer"]["properties"]["predictions"]["items"][
        "properties"
    ]
    assert named["class"]["enum"] == list(named["probabilities"]["properties"]) == CLASSES
    log(tmp_path, predictions)
    logged = read(tmp_path)
    for row, own in zip(answer.predictions, scores.tolist(), strict=True):
        assert row.probabilities == dict(zip(CLASSES, own, strict=True))  # type: ignore[union-attr]
        record = find(tmp_path, row.id)
        assert record is not None
        assert [record[f"score: {name}"] for name in CLASSES] == own
        assert (record["class"], record["score"]) == (CLASSES[int(np.argmax(own))], max(own))
        assert record["class"] == row.likeliest  # type: ignore[union-attr]
    assert logged.height == 20


def test_rows_of_releases_with_other_classes_or_none_are_read_and_compacted_together(tmp_path: Path) -> None:
    first = predicted(1)
    scores = np.array([[0.2, 0.8]])
    several = Predictions(
        **{name: getattr(first, name) for name in ("product", "environment", "release", "bundle", "at", "requests")},
        ids=prediction_ids(1)[0],
        scores=scores,
        threshold=None,
        classes=("a", "b"),
    )
    other = Predictions(
        **{name: getattr(several, name) for name in several.__struct_fields__ if name not in ("ids", "scores", "classes")},
        ids=prediction_ids(1)[0],
        scores=np.array([[0.5, np.nan, 0.5]]),
        classes=("b", "c", "d"),
    )
    together = table([first, several, other])
    assert together["class"].to_pylist() == [None, "b", None]
    assert together["score: b"].to_pylist() == [None, 0.8, 0.5]
    assert together["score: d"].to_pylist() == [None, None, 0.5]
    log(tmp_path, several)
    log(tmp_path, other)
    before = read(tmp_path)
    for hour in hour_files.hours(tmp_path):
        while compact(hour):
            pass
    assert read(tmp_path).equals(before)
    assert parquet(table([several])) == parquet(table([several]))


def test_the_classes_decided_for_are_counted_and_compared_with_the_profile(original: tuple[Path, Release]) -> None:
    bundle = load(original[0])
    values = bundle.features_of(bundle.requests.convert(payload(requests(4, seed=5))))
    scores = np.array([[0.0, 0.1, 0.9], [0.0, 0.1, 0.9], [0.8, 0.1, 0.1], [0.1, 0.8, 0.1]])
    bundle.observed.add(values, scores)
    assert dict(zip(bundle.observed.classes, bundle.observed.scores, strict=True)) == {"late": 2, "early": 1, "on time": 1}
    assert bundle.observed.psi == pytest.approx(0, abs=1e-12)


def test_an_explanation_is_about_the_most_probable_class_and_adds_up(bundle: Bundle) -> None:
    (request,) = payload(requests(1, seed=11))
    explained = explain(bundle, request)
    (scores,) = bundle.score([request])
    assert isinstance(scores, list)
    assert (explained.score, explained.likeliest) == (max(scores), CLASSES[int(np.argmax(scores))])
    assert explained.expected + sum(share.contribution for share in explained.shares) == pytest.approx(explained.raw_score)


def test_a_model_that_mlflow_loads_has_a_column_for_each_class(bundle: Bundle) -> None:
    import pandas as pd

    values = bundle.features_of(bundle.requests.convert(payload(requests(30, seed=2))))
    names = [feature["name"] for feature in bundle.card.features]
    answered = PyfuncModel(bundle).predict(pd.DataFrame(values.rows(bundle.card.features), columns=names))
    columns = [f"probability: {name}" for name in CLASSES]
    assert [*answered.columns] == [*answers_of(bundle.card)] == ["class", *columns]
    assert np.array_equal(answered[columns].to_numpy(), bundle.score_features(values))
    assert answered["class"].tolist() == [CLASSES[number] for number in answered[columns].to_numpy().argmax(axis=1)]
