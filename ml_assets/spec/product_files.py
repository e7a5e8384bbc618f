"""The bytes of a product's declaration, read once when it is loaded: what is digested is what is executed.

Belongs here: which files declare a product, and whether they changed since. Does not: what they mean.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from ml_assets.checkout import DBT_MODELS

SPEC_FILE = "product.yaml"
CONTRACT_FILE = "contract.py"
FEATURES_FILE = "features.sql"
_SHARED = ("dbt_project.yml", "profiles.yml", "macros", "tests")
_DBT_SUFFIXES = (".sql", ".yml", ".yaml")


@dataclass(frozen=True)
class ProductFiles:
    """`content`: the bytes of each file by path. `dbt_root`: the folder that the dbt models were read from."""

    folder: Path
    content: Mapping[Path, bytes] = field(default_factory=dict, repr=False)
    dbt_root: Path = Path()

    @classmethod
    def read(cls, folder: Path) -> "ProductFiles":
        """Read what is there; a file that is missing is left out."""
        root = dbt_folder(folder)
        paths = [folder / SPEC_FILE, folder / CONTRACT_FILE, folder / FEATURES_FILE, *_dbt_paths(root)]
        return cls(folder, {path: path.read_bytes() for path in paths if path.is_file()}, root)

    @classmethod
    def among(cls, files: Mapping[Path, bytes], folder: Path) -> "ProductFiles":
        """The same of files that are values, such as those of a commit, by absolute path."""
        own = folder / "dbt"
        root = own if any(path.is_relative_to(own) for path in files) else DBT_MODELS / folder.name
        declared = (folder / SPEC_FILE, folder / CONTRACT_FILE, folder / FEATURES_FILE)
        contents = {
            p: text for p, text in files.items() if p in declared or (p.is_relative_to(root) and p.suffix in _DBT_SUFFIXES)
        }
        return cls(folder, dict(sorted(contents.items())), root)

    @property
    def spec(self) -> bytes | None:
        """The bytes of product.yaml; None without one."""
        return self.content.get(self.folder / SPEC_FILE)

    @property
    def contract(self) -> bytes | None:
        """The bytes of contract.py; None without one."""
        return self.content.get(self.folder / CONTRACT_FILE)

    @property
    def dbt(self) -> dict[str, bytes]:
        """The dbt models and their YAML, in the order of their paths. features.sql is the model of the features."""
        root, alone = self.dbt_root, self.content.get(self.folder / FEATURES_FILE)
        files = {path.relative_to(root).as_posix(): text for path, text in self.content.items() if path.is_relative_to(root)}
        return files if alone is None else {**files, self._features_model: alone}

    def dbt_path(self, name: str) -> Path:
        """The path of a file of `dbt`, whether it exists or not."""
        is_alone = name == self._features_model and self.folder / FEATURES_FILE in self.content
        return self.folder / FEATURES_FILE if is_alone else self.dbt_root / name

    @property
    def _features_model(self) -> str:
        return f"{self.folder.name}_features.sql"

    def changed(self) -> list[Path]:
        """The files that are not any more what was read, appeared or vanished."""
        now = ProductFiles.read(self.folder).content
        return sorted(path for path in now.keys() | self.content.keys() if now.get(path) != self.content.get(path))


def dbt_folder(folder: Path) -> Path:
    """The folder of the dbt models of the product in `folder`: its own `dbt/`, else `dbt_project/models/<name>`."""
    own = folder / "dbt"
    return own if own.is_dir() else DBT_MODELS / folder.name


def _dbt_paths(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.suffix in _DBT_SUFFIXES and path.is_file())


SHARED_DBT = tuple(DBT_MODELS.parent / name for name in _SHARED)
"""The files and folders that every product's dbt project shares."""


@cache
def shared_dbt_files() -> Mapping[str, bytes]:
    """The files that every product's dbt project shares, by their path in it; read once by a process."""
    root = DBT_MODELS.parent
    paths = [root / name for name in _SHARED if (root / name).is_file()]
    paths += [path for name in _SHARED if (root / name).is_dir() for path in _dbt_paths(root / name)]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}
