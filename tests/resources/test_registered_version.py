"""A release in MLflow's registry: loaded by MLflow's users it scores as the endpoint does, and files that are not ours show."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import yaml

from ml_assets.core.digests import digest_file
from ml_assets.core.model.scoring import ScoringError
from ml_assets.serving.release.bundle import load
from ml_assets.serving.release.pyfunc_model import PyfuncModel, answers_of
from resources.tracking import registry
from resources.tracking.mlflow_catalogue import Catalogue
from resources.tracking.registered_version import BUNDLE, FLAVOR, LOADER, MODEL_FILE, Described, damage
from tests.support.serving_store import FEATURES, offline_features, payload, requests, train

NAMES = [feature["name"] for feature in FEATURES]
TYPES = {
    "carrier": "string", "hour": "any", "distance": "any", "wind_speed": "double", "is_holiday": "boolean",
    "plane_age": "any", "late_rate": "double", "tail_kind": "string",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("registered") / "r1"
    train(folder, name="r1", seed=1)
    return folder


def members(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): digest_file(path) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")  # importing mlflow.pyfunc
@pytest.mark.parametrize("task", ["binary", "regression", "multiclass"])
def test_a_registered_version_scores_feature_rows_as_the_endpoint_does_to_the_last_bit(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    train(tmp_path / "r1", name="r1", seed=1, task=task)  # type: ignore[arg-type]
    catalogue = Catalogue(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "artifacts")
    client = catalogue.client()
    run = client.create_run(client.create_experiment("flights", (tmp_path / "artifacts" / "flights").as_uri())).info.run_id
    rows = requests(300, seed=5)
    features = offline_features(rows).select(NAMES)
    answers = answers_of(load(tmp_path / "r1", is_compiled=False).card)
    described = Described("flights-r1", TYPES, answers, features.head(1).rows())
    tags = {"bundle": "b" * 64, "release": "r1"}
    number = catalogue.register("flights", run_id=run, folder=tmp_path / "r1", described=described, tags=tags, description="# r1")
    assert catalogue.register("flights", run_id=run, folder=tmp_path / "r1", described=described, tags=tags) == number
    registry.show(client, "flights", "production", bundle="b" * 64)
    (version,) = registry.versions(client, "flights")

    monkeypatch.setattr("mlflow.tracking._tracking_service.utils._tracking_uri", None)
    mlflow.set_tracking_uri(catalogue.url)
    loaded = mlflow.pyfunc.load_model("models:/flights@production")
    answer = loaded.predict(features.to_pandas())
    served = load(tmp_path / "r1").score(payload(rows))
    columns = [name for name in answers if name not in ("class", "decision")]
    scores = np.array(served).reshape(len(served), len(columns))
    assert len(np.unique(scores, axis=0)) > 10
    assert np.array_equal(answer[columns].to_numpy(), scores)
    assert ("decision" in answer) == (task == "binary")
    assert loaded.metadata.signature.inputs.input_names() == NAMES
    assert np.array_equal(loaded.predict(loaded.input_example)[columns].to_numpy(), scores[:1])
    model = client.get_logged_model(version.tags["model_id"])
    assert (model.source_run_id, model.status.to_int() > 0) == (run, True)
    assert [output.model_id for output in client.get_run(run).outputs.model_outputs] == [model.model_id]
    assert json.loads(model.tags["mlflow.modelVersions"]) == [{"name": "flights", "version": number}]
    assert registry.damage(client, registry.shown(client, "flights", "production"), members(tmp_path / "r1")) == ""  # type: ignore[arg-type]


@pytest.mark.long
def test_an_mlflow_that_knows_no_release_shows_none(tmp_path: Path) -> None:
    client = Catalogue(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "artifacts").client()
    registry.show(client, "flights", "production", bundle="b" * 64)
    assert registry.shown(client, "flights", "production") is None


def test_a_feature_that_lacks_is_named(folder: Path) -> None:
    features = offline_features(requests(3, seed=5)).select(NAMES).to_pandas()
    with pytest.raises(ScoringError, match=r"^r1 needs the features distance; there are \["):
        PyfuncModel(load(folder, is_compiled=False)).predict(features.drop(columns="distance"))


OURS = {"flavors": {FLAVOR: {"loader_module": LOADER, "data": BUNDLE, "python_version": "3.11.7"}}, "run_id": "r"}


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (OURS, ""),
        ({"flavors": {FLAVOR: {**OURS["flavors"][FLAVOR], "code": "code"}}}, "its MLmodel is not the release's: code"),  # type: ignore[index]
        ({"flavors": {FLAVOR: {"loader_module": "os", "data": BUNDLE}}}, "its MLmodel is not the release's: loader_module: os"),
        ({"flavors": {FLAVOR: {"loader_module": LOADER, "data": "../x"}}}, "its MLmodel is not the release's: data: ../x"),
        ({"flavors": {**OURS["flavors"], "sklearn": {}}}, "its MLmodel is not the release's: sklearn"),  # type: ignore[dict-item]
        ({"flavors": []}, "its MLmodel is not the release's: it cannot be read"),
    ],
)
def test_a_model_file_that_would_run_something_else_is_damage(
    model: Mapping[str, object], words: str, folder: Path, tmp_path: Path
) -> None:
    copied = tmp_path / "version"
    shutil.copytree(folder, copied / BUNDLE)
    (copied / MODEL_FILE).write_text(yaml.safe_dump(dict(model)))
    assert damage(copied, members(folder)) == words


@pytest.mark.parametrize("name", ["loader.py", "code/loader.py", f"{BUNDLE}/x.pkl", f"{BUNDLE}/model.cbm"])
def test_a_file_that_is_not_the_releases_is_damage(name: str, folder: Path, tmp_path: Path) -> None:
    copied = tmp_path / "version"
    shutil.copytree(folder, copied / BUNDLE)
    (copied / MODEL_FILE).write_text(yaml.safe_dump(OURS))
    (copied / name).parent.mkdir(exist_ok=True)
    (copied / name).write_text("import os")
    assert damage(copied, members(folder)) == f"its files are not the release's: {name}"


def test_a_version_of_before_has_the_members_alone(folder: Path, tmp_path: Path) -> None:
    assert damage(folder, members(folder)) == ""
    shutil.copytree(folder, tmp_path / "version")
    (tmp_path / "version" / "loader.py").write_text("import os")
    assert damage(tmp_path / "version", members(folder)) == "its files are not the release's: loader.py"
