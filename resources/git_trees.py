"""The files of a commit as values, without a work tree: what a change is compared with."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ml_assets.errors import MlAssetsError
from resources.git import DEFAULT_BRANCHES, default_branch, run_git

SECONDS = 120
FETCHED = "refs/ml-assets/fetched"


class GitRefused(MlAssetsError):
    """Git has no repository here, or no such commit."""


@dataclass(frozen=True)
class Repository:
    """A git repository with a work tree."""

    root: Path

    @classmethod
    def around(cls, folder: Path) -> "Repository":
        """The repository that a folder lies in. Raises GitRefused."""
        return cls(Path(_git(folder, "rev-parse", "--show-toplevel").decode().strip()).resolve())

    def holds(self, path: Path) -> bool:
        """Whether a path belongs to the repository: it lies in the work tree, and not in this process's environment there."""
        environment = Path(sys.prefix).resolve()
        is_installed = environment.is_relative_to(self.root) and path.is_relative_to(environment)
        return path.is_relative_to(self.root) and not is_installed

    def commit(self, ref: str) -> str:
        """The commit that a name refers to."""
        return _git(self.root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}").decode().strip()

    def base(self, ref: str | None, head: str = "HEAD") -> str:
        """The commit that `head` is compared with: where it left `ref`, or else the default branch."""
        other = self.commit(ref or self.default_branch)
        try:
            return _git(self.root, "merge-base", self.commit(head), other).decode().strip()
        except GitRefused:
            raise GitRefused(
                f"{self.root}: {head} and {ref or self.default_branch} have no commit in common; in a shallow clone fetch the "
                f"history (`git fetch --unshallow`, on GitHub `fetch-depth: 0`), or name another commit: --base REF"
            ) from None

    @cached_property
    def default_branch(self) -> str:
        """The branch that changes are merged into."""
        if name := default_branch(self.root):
            return name
        raise GitRefused(f"{self.root} has none of {', '.join(DEFAULT_BRANCHES)}; name the commit to compare with: --base REF")

    def contains(self, commit: str, other: str) -> bool:
        """Whether the commit `other` contains the commit; False where git doesn't know one of them."""
        question = ("merge-base", "--is-ancestor", "--end-of-options", commit, other)
        return run_git(self.root, *question, seconds=SECONDS).returncode == 0

    @property
    def default_branch_name(self) -> str:
        """The default branch by the name that it has on the forge."""
        name = _git(self.root, "rev-parse", "--abbrev-ref", self.default_branch).decode().strip()
        return name.removeprefix("origin/")

    @property
    def is_dirty(self) -> bool:
        """Whether the work tree holds what no commit does."""
        return bool(_git(self.root, "status", "--porcelain", "--untracked-files=normal"))

    @contextmanager
    def worktree(self, commit: str, folder: Path) -> Iterator[Path]:
        """A work tree of the commit in a new folder below `folder`, removed at the end."""
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as parent:
            place = Path(parent).resolve() / "tree"
            _git(self.root, "worktree", "add", "--quiet", "--detach", str(place), commit)
            try:
                yield place
            finally:
                _git(self.root, "worktree", "remove", "--force", str(place))

    def files(self, commit: str, under: Sequence[Path]) -> dict[Path, bytes]:
        """The files of a commit below some folders or at some paths of the repository, by absolute path. Links are left out."""
        places = [path.relative_to(self.root).as_posix() for path in under if self.holds(path)]
        if not places:
            return {}
        listed = _git(self.root, "ls-tree", "-r", "-z", "--full-tree", commit, "--", *places)
        entries = [line.split("\t", 1) for line in listed.decode("utf-8", "surrogateescape").split("\0") if line]
        blobs = {self.root / name: about.split()[2] for about, name in entries if about.split()[0] in ("100644", "100755")}
        contents = self._contents(sorted(set(blobs.values())))
        return {path: contents[blob] for path, blob in blobs.items()}

    def _contents(self, blobs: Sequence[str]) -> Mapping[str, bytes]:
        answer = _git(self.root, "cat-file", "--batch", given="".join(f"{blob}\n" for blob in blobs).encode())
        return dict(_batch(answer))

    def trailers(self, base: str, key: str, head: str = "HEAD") -> list[str]:
        """The values of a trailer in the messages of the commits after `base`, up to `head`."""
        form = f"%(trailers:key={key},valueonly,unfold,separator=%x00)%x00"
        text = _git(self.root, "log", f"--format={form}", f"{base}..{self.commit(head)}").decode("utf-8", "replace")
        return [value.strip() for value in text.split("\0") if value.strip()]

    def changed_paths(self, base: str, head: str) -> list[str]:
        """The paths of the files that two commits have differently; of a renamed file both."""
        listed = _git(self.root, "diff", "--name-only", "--no-renames", "-z", base, head, "--")
        return [path for path in listed.decode("utf-8", "replace").split("\0") if path]

    def fetch(self, name: str) -> str:
        """The commit that a name has in the remote `origin`, fetched as objects: nothing is checked out, and no branch moves."""
        _git(self.root, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--", "origin", f"+{name}:{FETCHED}")
        return self.commit(FETCHED)


def _batch(answer: bytes) -> Iterator[tuple[str, bytes]]:
    """The blobs in what `git cat-file --batch` printed: "<name> blob <size>", the bytes, a newline."""
    at = 0
    while at < len(answer):
        end = answer.index(b"\n", at)
        name, _, size = answer[at:end].decode().split()
        yield name, answer[end + 1 : end + 1 + int(size)]
        at = end + 2 + int(size)


def _git(folder: Path, *arguments: str, given: bytes = b"") -> bytes:
    try:
        done = run_git(folder, *arguments, given=given, seconds=SECONDS)
    except FileNotFoundError:
        raise GitRefused("git is not installed; a change is compared with a commit") from None
    except subprocess.TimeoutExpired:
        raise GitRefused(f"{folder}: git {arguments[0]} took longer than {SECONDS} s") from None
    if done.returncode:
        problem = done.stderr.decode("utf-8", "replace").strip() or f"git {' '.join(arguments[:2])} found nothing"
        if "not a git repository" in problem:
            raise GitRefused(f"{folder} is not in a git repository; run the command in a clone of the one with the products")
        raise GitRefused(f"{folder}: {problem}; name the commit to compare with: --base REF")
    return done.stdout
