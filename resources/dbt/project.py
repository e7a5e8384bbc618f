"""The dbt project of one product, parsed once and kept under the digest of all that it was made of.

Belongs here: which files make the project, its tests' names, and the cached manifest. Does not: running it on data.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ml_assets.checkout import DBT_MODELS
from ml_assets.errors import MlAssetsError
from ml_assets.spec.product import Product
from ml_assets.spec.product_files import CONTRACT_FILE, dbt_folder
from resources.store.temp_files import unfinished_folder

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
        """The copy of the project."""
        return self.folder / "project"

    @property
    def manifest(self) -> Path:
        """The path of dbt's manifest.json."""
        return self.folder / MANIFEST

    def description(self) -> dict[str, Any]:
        """The columns and their lineage, as described when the project was parsed."""
        return dict(json.loads((self.folder / DESCRIPTION).read_bytes()))


def project_files(product: Product) -> dict[str, bytes]:
    """The files of the product's project, by their path in it: the shared ones and the product's own models, as loaded."""
    own = product.dbt
    if not any(name.endswith(".sql") for name in own):
        raise DbtProjectError(f"{product.name} has no dbt models; expected .sql files in {dbt_folder(product.folder)}")
    return _shared_files() | {f"models/{product.name}/{name}": content for name, content in own.items()}


def project_digest(product: Product) -> str:
    """Of the project's files, the contract (its types are the sources' types) and the versions that read them."""
    digest = hashlib.sha256(" ".join(f"{name} {version(name)}" for name in _PACKAGES).encode())
    for name, content in sorted({**project_files(product), CONTRACT_FILE: product.files.contract or b""}.items()):
        digest.update(f"\n{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def copy_project(product: Product, folder: Path) -> None:
    """Write the product's project into a folder of its own."""
    for name, content in project_files(product).items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def publish(finished: Path, final: Path) -> None:
    """Rename a finished folder into place; if another process was first, its folder is the same and stays."""
    try:
        finished.rename(final)
    except OSError:
        if not final.is_dir():
            raise


@contextmanager
def scratch(parent: Path) -> Iterator[str]:
    """A private folder that is removed after the `with`."""
    parent.mkdir(parents=True, exist_ok=True)
    with unfinished_folder(parent) as folder:
        yield folder


def test_names(product: Product) -> tuple[str, ...]:
    """The names of the product's data tests, read from its YAML alone. Each test has one, given explicitly."""
    folder = dbt_folder(product.folder)
    files = [(str(folder / file), text) for file, text in product.dbt.items() if file.endswith((".yml", ".yaml"))]
    names = [name for file, text in files for name in _names_in(file, text)]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DbtProjectError(f"{product.name}: dbt test names must differ; found twice: {', '.join(twice)}")
    return tuple(sorted(names))


test_names.__test__ = False  # type: ignore[attr-defined]  # not a test of pytest's


@cache
def _names_in(file: str, text: bytes) -> tuple[str, ...]:
    """Kept: one run asks for the names several times, and YAML is slow to read."""
    import yaml

    models = (yaml.safe_load(text) or {}).get("models") or []
    return tuple(_test_name(test, where=f"{file}: {where}") for model in models for test, where in _tests(model))


def _tests(model: Mapping[str, Any]) -> Iterator[tuple[Any, str]]:
    columns = [(column, f"{model['name']}.{column['name']}") for column in model.get("columns") or []]
    for part, where in [(model, model["name"]), *columns]:
        for test in [*(part.get("data_tests") or []), *(part.get("tests") or [])]:
            yield test, where


def _test_name(test: Any, *, where: str) -> str:
    declared = test if isinstance(test, dict) else {test: None}
    name = declared.get("name") or next((value.get("name") for value in declared.values() if isinstance(value, dict)), None)
    if not isinstance(name, str) or not name:
        kind = next(iter(declared))
        raise DbtProjectError(f"{where}: the data test {kind} has no `name:`; its name is the asset check's name")
    return name


@cache
def _shared_files() -> dict[str, bytes]:
    """The files that all products' projects share, read once, so that dbt gets the bytes that were digested."""
    return {path.relative_to(ROOT).as_posix(): path.read_bytes() for name in _SHARED for path in _files(ROOT / name)}


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted(file for file in path.rglob("*") if file.is_file() and file.suffix in (".sql", ".yml", ".yaml"))
