"""The commits of the project's code, and of a product in another repository. The code digest is what counts; this tells people
where to look."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from ml_assets.core.lineage.source import NOT_VERSIONED, Commit, Source
from ml_assets.spec.product_files import SPEC_FILE
from resources.settings import ROOT

SECONDS = 10
_ELSEWHERE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")
"""Set in a git hook: they would make git answer for the repository of the hook."""


DEFAULT_BRANCHES = ("origin/HEAD", "origin/main", "origin/master", "main", "master")


class TrackedFolder(NamedTuple):
    """The repository that a folder's files are tracked in, and its commit; dirty only by files of the folder."""

    repository: Path
    commit: Commit


@dataclass(frozen=True)
class Sources:
    """The source of a product's code and declaration: `products` are the folders of products, `commit` is the code's where it
    is run from no checkout, and `is_merged` whether it is said to be clean and in the default branch."""

    products: Sequence[Path]
    commit: str = ""
    is_merged: bool = False

    def __call__(self, product: str) -> Source:
        """The source of the code, and of the product if it is outside the code's checkout."""
        return source(ROOT, product=self._folder(product), stated=self.commit, is_merged=self.is_merged)

    def _folder(self, product: str) -> Path | None:
        folders = (file.parent.resolve() for root in self.products for file in root.glob(f"*/{SPEC_FILE}"))
        return next((folder for folder in folders if folder.name == product), None)


def source(code: Path, *, product: Path | None = None, stated: str = "", is_merged: bool = False) -> Source:
    """`stated` is the commit of code that is run from no checkout, as an image says it; it is that of a product in no repository
    too, which the image holds."""
    own = tracked(code)
    named: Commit | None = {"commit": stated, "is_dirty": None} if stated else None
    if named is not None and is_merged:
        named["is_merged"] = True
    source: Source = {"code": own.commit if isinstance(own, TrackedFolder) else named}
    if product is not None and not _comes_with(product, code):
        there = tracked(product)
        is_in_image = bool(stated) and not isinstance(own, TrackedFolder) and there == NOT_VERSIONED
        if not is_in_image:
            source["product"] = there.commit if isinstance(there, TrackedFolder) else there
    return source


def _comes_with(product: Path, code: Path) -> bool:
    """Whether the product lies in the code's folder, and its files in the code's repository if that is one."""
    own, there = tracked(code), tracked(product)
    is_inside = product.resolve().is_relative_to(code.resolve())
    if not isinstance(own, TrackedFolder):
        return is_inside
    return is_inside and isinstance(there, TrackedFolder) and there.repository == own.repository


@cache
def tracked(folder: Path) -> TrackedFolder | str | None:
    """The git state of a folder, alone or inside of a larger repository; NOT_VERSIONED where none of its files is in a commit;
    None where git cannot say."""
    place = folder.resolve()
    if not any((above / ".git").exists() for above in (place, *place.parents)):
        return NOT_VERSIONED
    top = _git(place, "rev-parse", "--show-toplevel")
    if not top:
        return None
    head, known = _git(place, "rev-parse", "--verify", "--quiet", "HEAD"), _git(place, "ls-files", "--", ".")
    if not head or not known:
        return NOT_VERSIONED
    changes = _git(place, "status", "--porcelain", "--untracked-files=normal", "--", ".")
    if changes is None:
        return None
    commit: Commit = {"commit": head[0], "is_dirty": bool(changes), "is_merged": _is_merged(place, head[0])}
    return TrackedFolder(Path(top[0]).resolve(), commit)


def default_branch(folder: Path) -> str | None:
    """The branch that changes are merged into; None where there is none of these names."""
    names = (name for name in DEFAULT_BRANCHES if _git(folder, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}"))
    return next(names, None)


def _is_merged(folder: Path, commit: str) -> bool | None:
    """Whether the default branch contains the commit; None where the clone has no such branch, or not its whole history."""
    branch = default_branch(folder)
    if branch is None:
        return None
    if _git(folder, "merge-base", "--is-ancestor", commit, branch) is not None:
        return True
    return False if _git(folder, "rev-parse", "--is-shallow-repository") == ["false"] else None


def run_git(folder: Path, *arguments: str, given: bytes = b"", seconds: float = SECONDS) -> subprocess.CompletedProcess[bytes]:
    """Run a git that answers for the folder that it is given, and locks nothing. Raises OSError where there is no git, and
    TimeoutExpired."""
    environ = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE} | {"GIT_OPTIONAL_LOCKS": "0"}
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, env=environ, input=given, capture_output=True, timeout=seconds, check=False)


def _git(folder: Path, *arguments: str) -> list[str] | None:
    """The lines that git printed, or None where it failed."""
    try:
        done = run_git(folder, *arguments)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return os.fsdecode(done.stdout).splitlines() if done.returncode == 0 else None
