"""A release as MLflow keeps a model: the bundle, an MLmodel file with signature and example, and the run that it came from.

For people and their notebooks. The bundle is what counts: whether a version's files are those of a release is said by `damage`.
"""

import json
import platform
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ml_assets.core.digests import digest_file

if TYPE_CHECKING:
    from mlflow import MlflowClient

BUNDLE, MODEL_FILE, EXAMPLE_FILE = "bundle", "MLmodel", "input_example.json"
LOADED_FROM = "registered_model_meta"
"""MLflow writes this file, the version's name and number, where it loads a version from a folder of this machine."""
LOADER = "ml_assets.serving.release.pyfunc_model"
FLAVOR = "python_function"
EXAMPLE = {"artifact_path": EXAMPLE_FILE, "type": "dataframe", "pandas_orient": "split"}


@dataclass(frozen=True)
class Described:
    """The signature of a model in MLflow: types (MLflow's names) by column, and rows of the inputs as an example."""

    name: str
    inputs: Mapping[str, str]
    answers: Mapping[str, str]
    example: Sequence[Sequence[Any]]


def log_model(
    client: "MlflowClient", run_id: str, bundle: Path, described: Described, tags: Mapping[str, str]
) -> tuple[str, str]:
    """Log a bundle as a model of the run; its id, and where its files are."""
    from mlflow.entities import LoggedModelOutput

    run = client.get_run(run_id)
    model = client.create_logged_model(run.info.experiment_id, described.name, run_id, dict(tags), model_type="ml-assets")
    with tempfile.TemporaryDirectory(prefix="ml-assets-") as scratch:
        folder = Path(scratch) / "model"
        shutil.copytree(bundle, folder / BUNDLE)
        _describe(folder, described, run_id=run_id, model_id=model.model_id)
        client.log_model_artifacts(model.model_id, str(folder))
    client.finalize_logged_model(model.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
    return str(model.model_id), str(model.artifact_location)


def link_version(client: "MlflowClient", model_id: str, name: str, number: str | int) -> None:
    """Let the page of a logged model name the version that it is registered as, by the tag that MLflow's pages read."""
    client.set_logged_model_tags(model_id, {"mlflow.modelVersions": json.dumps([{"name": name, "version": str(number)}])})


def _describe(folder: Path, described: Described, *, run_id: str, model_id: str) -> None:
    """Write the MLmodel file and the example. By hand: MLflow's own classes for it import all that MLflow can load."""
    inputs = [{"name": name, "type": kind, "required": False} for name, kind in described.inputs.items()]
    answers = [{"name": name, "type": kind, "required": True} for name, kind in described.answers.items()]
    model = {
        "flavors": {FLAVOR: {"loader_module": LOADER, "data": BUNDLE, "python_version": platform.python_version()}},
        "mlflow_version": version("mlflow"),
        "model_id": model_id,
        "model_uuid": model_id.removeprefix("m-"),
        "run_id": run_id,
        "saved_input_example_info": EXAMPLE,
        "signature": {"inputs": json.dumps(inputs), "outputs": json.dumps(answers), "params": None},
    }
    (folder / MODEL_FILE).write_text(yaml.safe_dump(model), encoding="utf-8")
    rows = {"columns": list(described.inputs), "data": [list(row) for row in described.example]}
    (folder / EXAMPLE_FILE).write_text(json.dumps(rows), encoding="utf-8")


def damage(folder: Path, members: Mapping[str, str]) -> str:
    """Return how a version's files differ from a release's members (digest by name); empty if they don't.

    Versions of before have the members alone. In others they are below `bundle`, and the MLmodel file may name our own loader and
    nothing else that would run.
    """
    files = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if not p.is_dir() or p.is_symlink()}
    expected = dict(members)
    beside: set[str] = set()
    if MODEL_FILE in files:
        expected, beside = (
            {f"{BUNDLE}/{name}": digest for name, digest in members.items()},
            {MODEL_FILE, EXAMPLE_FILE, LOADED_FROM},
        )
    digests = {name: "" if path.is_symlink() else digest_file(path) for name, path in files.items() if name not in beside}
    differing = sorted(name for name in digests.keys() | expected.keys() if digests.get(name) != expected.get(name))
    differing += sorted(name for name in beside & files.keys() if files[name].is_symlink())
    if MODEL_FILE in beside and not differing and (odd := foreign_keys(files[MODEL_FILE].read_bytes())):
        return f"its MLmodel is not the release's: {odd}"
    return f"its files are not the release's: {', '.join(differing)}" if differing else ""


def foreign_keys(content: bytes) -> str:
    """The keys of an MLmodel file that ours does not have, as it would be executed; empty for nothing."""
    try:
        flavors = yaml.safe_load(content)["flavors"]
        flavor = flavors[FLAVOR]
        others = sorted(set(flavors) - {FLAVOR}) + sorted(set(flavor) - {"loader_module", "data", "python_version"})
        named = {"loader_module": flavor["loader_module"], "data": flavor["data"]}
    except (yaml.YAMLError, KeyError, TypeError):
        return "it cannot be read"
    if others:
        return ", ".join(others)
    return next((f"{key}: {named[key]}" for key, own in (("loader_module", LOADER), ("data", BUNDLE)) if named[key] != own), "")
