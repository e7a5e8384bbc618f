"""The current path of a home as a pipeline of DVC, so that `dvc status` looks at the same files as a plan does.

Each current manifest is a stage: what it read and its code files are dependencies, its sections of product.yaml are
parameters, its files are outputs. Nothing is run: DVC records the files as they lie.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from benchmarks.child import Spent, spend
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.lineage import stages
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.spec.product import Product
from ml_assets.spec.product_files import SPEC_FILE
from resources.settings import ROOT

ENVIRON = {"DVC_NO_ANALYTICS": "1", "DVC_GLOBAL_CONFIG_DIR": "", "DVC_SITE_CACHE_DIR": ""}
UP_TO_DATE = "Data and pipelines are up to date."


class NotUpToDate(Exception):
    """`dvc status` found something changed though nothing was."""


def make(space: Workspace, product: Product, folder: Path, dvc: str) -> int:
    """A DVC repository in the folder; how many stages it has."""
    shutil.copytree(space.settings.landing, folder / "landing")
    shutil.copytree(ROOT / "ml_assets" / "core", folder / "ml_assets" / "core", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(product.folder / SPEC_FILE, folder / "params.yaml")
    pipeline = {
        _name(manifest.asset, manifest.partition): _stage(space, manifest, folder) for manifest in _current(space, product)
    }
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": pipeline}))
    for command in (["init", "--no-scm", "--quiet"], ["commit", "--force", "--quiet"]):
        spend([dvc, *command], environ=_environ(folder), cwd=folder)
    return len(pipeline)


def status(folder: Path, dvc: str) -> Spent:
    """What `dvc status` takes to say that nothing changed."""
    spent = spend([dvc, "status"], environ=_environ(folder), cwd=folder)
    if spent.output.strip() != UP_TO_DATE:
        raise NotUpToDate(spent.output)
    return spent


def _environ(folder: Path) -> dict[str, str]:
    """DVC keeps nothing outside the folder."""
    places = {name: str(folder / ".dvc" / name.lower()) for name in ENVIRON if name.endswith("_DIR")}
    return {**ENVIRON, **places}


def _current(space: Workspace, product: Product) -> Iterator[Manifest]:
    for stage in stages.STAGES:
        for key in space.ledger.partitions(product.name, stage):
            manifest = space.ledger.current(product.name, stage, key)
            assert manifest is not None
            yield manifest


def _stage(space: Workspace, manifest: Manifest, folder: Path) -> dict[str, Any]:
    recipe, out = manifest.recipe, f"made/{_name(manifest.asset, manifest.partition)}"
    for member in space.snapshots.open(manifest.snapshot).members:
        target = folder / out / member
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(space.snapshots.path(manifest.snapshot, member), target)
    read = [_read(given.asset, given.partition, folder) for given in recipe.inputs]
    modules = [f"{name.replace('.', '/')}.py" for name in recipe.details["code"] if name.startswith("ml_assets.core.")]
    params = {"params": list(recipe.details["config"])} if recipe.details["config"] else {}
    return {"cmd": "true", "deps": [*read, *modules], "outs": [out], **params}


def _read(asset: str, partition: str, folder: Path) -> str:
    if not asset.startswith("landing/"):
        return f"made/{_name(asset, partition)}"
    place = f"{asset}/{partition}" if partition else asset
    return next(str(path.relative_to(folder)) for path in folder.glob(f"{place}.*"))


def _name(asset: str, partition: str) -> str:
    return f"{asset.rsplit('/', 1)[-1]}-{partition or 'all'}"
