"""The project's own source, fixed when the process starts: what runs is what is recorded.

Code is imported lazily, so a checkout that changes under a live process (a `git pull`, an editor) would mix two versions. This
module reads every source file when `ml_assets` is first imported. A file that changed since is refused when somebody imports it
later, and `refuse_changes` refuses new work. Belongs here: which files there are, and whether they are still the same.
"""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from ml_assets.errors import MlAssetsError

PACKAGES = ("ml_assets", "resources", "checks", "sensors")
SHOWN = 3


class CodeChanged(MlAssetsError):
    """A source file is not what this process started with."""


@dataclass(frozen=True)
class SourceTree:
    """Python modules by dotted name: where each lies and the bytes that it had when it was read."""

    paths: Mapping[str, Path]
    texts: Mapping[str, bytes]
    marks: Mapping[str, tuple[int, int, int]] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, root: Path, packages: Sequence[str] = PACKAGES) -> "SourceTree":
        """Every module of these packages below `root`."""
        paths = dict(module for package in packages for module in _modules(root, package))
        marks = {name: _mark(path) for name, path in paths.items()}
        return cls(paths, {name: path.read_bytes() for name, path in paths.items()}, marks)

    @cached_property
    def root(self) -> Path:
        """The folder that the packages lie in."""
        name, path = next(iter(self.paths.items()))
        return path.parents[name.count(".") + (path.name == "__init__.py")]

    def has_changed(self, name: str) -> bool:
        """Whether the module's file holds other bytes now, or is gone. A file whose state is the same is not read again."""
        path = self.paths[name]
        try:
            return _mark(path) != self.marks.get(name) and path.read_bytes() != self.texts[name]
        except OSError:
            return True

    def changed(self) -> list[str]:
        """The modules whose files changed since the tree was read."""
        return [name for name in self.paths if self.has_changed(name)]


class _Guard(MetaPathFinder):
    """Finds nothing itself; it stops an import whose file is not the one that was read."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name in TREE.paths and TREE.has_changed(name):
            raise CodeChanged(_message([name]))
        return None


def refuse_changes() -> None:
    """Raise CodeChanged if a source file is not what this process started with: what it would record did not run."""
    if changed := TREE.changed():
        raise CodeChanged(_message(changed))


def _message(changed: Sequence[str]) -> str:
    named = ", ".join(changed[:SHOWN]) + (f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else "")
    return (
        f"the code changed since this process started: {named}. Restart it: in Dagster reload the code location, "
        f"on the command line run the command again"
    )


def _modules(root: Path, package: str) -> Iterator[tuple[str, Path]]:
    for folder, folders, files in os.walk(root / package):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        dotted = Path(folder).relative_to(root).parts
        for file in sorted(files):
            if file.endswith(".py"):
                stem = () if file == "__init__.py" else (file.removesuffix(".py"),)
                yield ".".join((*dotted, *stem)), Path(folder, file)


def _mark(path: Path) -> tuple[int, int, int]:
    """The inode's change time, which no one can set back, its size and its number: they show that a file was written again."""
    stat = path.stat()
    return stat.st_ctime_ns, stat.st_size, stat.st_ino


TREE = SourceTree.read(Path(__file__).resolve().parent.parent)
"""The source of this process."""
sys.meta_path.insert(0, _Guard())
