"""The dbt project of one product, parsed once and kept under the digest of all that it was made of.

Belongs here: which files make the project, its tests' names, and the cached manifest. Does not: running it on data.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ml_assets.errors import MlAssetsError
from ml_assets.product import Product
from ml_assets.product_files import DBT_MODELS, dbt_folder
from resources.leftovers import UNFINISHED, writing_into

ROOT = DBT_MODELS.parent
MANIFEST, DESCRIPTION = "manifest.msgpack", "description.json"
_SHARED = ("dbt_project.yml", "profiles.yml", "macros", "tests")
_PACKAGES = ("dbt-core", "dbt-duckdb", "duckdb", "sqlglot")


class DbtProjectError(MlAssetsError):
    """A dbt project that cannot be used as it is written."""


@dataclass(frozen=True)
class DbtProject:
    """A folder of the cache: a copy of the project, its parsed manifest, and what is known of it without data."""

    folder: Path

    @property
    def path(self) -> Path:
        return self.folder / "project"

    @property
    def manifest(self) -> Path:
        return self.folder / MANIFEST

    def description(self) -> dict[str, Any]:
        """What `describe` found when the project was parsed: columns and their lineage."""
        return dict(json.loads((self.folder / DESCRIPTION).read_bytes()))


def project_files(product: Product) -> dict[str, Path]:
    """The files of the product's project, by their path in it: the shared ones and the product's own models."""
    shared = [path for name in _SHARED for path in _files(ROOT / name)]
    own = dbt_folder(product.folder)
    if not any(path.suffix == ".sql" for path in _files(own)):
        raise DbtProjectError(f"{product.name} has no dbt models; expected .sql files in {own}")
    found = {str(path.relative_to(ROOT)): path for path in shared}
    return found | {f"models/{product.name}/{path.relative_to(own)}": path for path in _files(own)}


def project_digest(product: Product) -> str:
    """Of the project's files, the contract (its types are the sources' types) and the versions that read them."""
    digest = hashlib.sha256(" ".join(f"{name} {version(name)}" for name in _PACKAGES).encode())
    for name, path in sorted({**project_files(product), "contract.py": product.folder / "contract.py"}.items()):
        content = path.read_bytes()
        digest.update(f"\n{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def copy_project(product: Product, folder: Path) -> None:
    """Copy the product's project into a folder of its own."""
    for name, path in project_files(product).items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def publish(made: Path, final: Path) -> None:
    """Rename a finished folder into place; if another process was first, its folder is the same and stays."""
    try:
        made.rename(final)
    except OSError:
        if not final.is_dir():
            raise


@contextmanager
def scratch(parent: Path) -> Iterator[str]:
    """A private folder that is gone after the `with`."""
    parent.mkdir(parents=True, exist_ok=True)
    with writing_into(parent), tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=parent) as folder:
        yield folder


def test_names(product: Product) -> tuple[str, ...]:
    """The names of the product's data tests, read from its YAML alone. Each test has one, given explicitly."""
    import yaml

    names: list[str] = []
    for path in _files(dbt_folder(product.folder)):
        if path.suffix in (".yml", ".yaml"):
            content = yaml.safe_load(path.read_text()) or {}
            for model in content.get("models") or []:
                names += [_test_name(test, where=f"{path}: {where}") for test, where in _tests(model)]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DbtProjectError(f"{product.name}: dbt test names must differ; found twice: {', '.join(twice)}")
    return tuple(sorted(names))


test_names.__test__ = False  # type: ignore[attr-defined]  # not a test of pytest's


def _tests(model: Mapping[str, Any]) -> Iterator[tuple[Any, str]]:
    columns = [(column, f"{model['name']}.{column['name']}") for column in model.get("columns") or []]
    for part, where in [(model, model["name"]), *columns]:
        for test in [*(part.get("data_tests") or []), *(part.get("tests") or [])]:
            yield test, where


def _test_name(test: Any, *, where: str) -> str:
    told = test if isinstance(test, dict) else {test: None}
    name = told.get("name") or next((value.get("name") for value in told.values() if isinstance(value, dict)), None)
    if not isinstance(name, str) or not name:
        kind = next(iter(told))
        raise DbtProjectError(f"{where}: the data test {kind} has no `name:`; its name is the asset check's name")
    return name


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted(file for file in path.rglob("*") if file.is_file() and file.suffix in (".sql", ".yml", ".yaml"))
