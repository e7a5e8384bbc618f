"""The files that make a forge judge changes of a team's repository of products: workflows, CODEOWNERS, and what stays to do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files as package_files
from pathlib import Path
from typing import Literal, TypeAlias

from ml_assets.errors import MlAssetsError
from ml_assets.spec.product_files import CONTRACT_FILE, FEATURES_FILE, SPEC_FILE
from resources.forges import github, gitlab
from resources.git_trees import Repository

ForgeName: TypeAlias = Literal["github", "gitlab"]
PLACES: Mapping[ForgeName, Mapping[str, str]] = {
    "github": {
        "ml-assets.yml": ".github/workflows/ml-assets.yml",
        "ml-assets-approved.yml": ".github/workflows/ml-assets-approved.yml",
        "ml-assets-report.yml": ".github/workflows/ml-assets-report.yml",
        "ml-assets-home.sh": "ci/ml-assets-home.sh",
    },
    "gitlab": {"gitlab-ci.yml": ".gitlab-ci.yml"},
}
"""Where each template goes."""
CODE_OWNERS: Mapping[ForgeName, Sequence[str]] = {"github": github.CODE_OWNERS, "gitlab": gitlab.CODE_OWNERS}


class SetupRefused(MlAssetsError):
    """The repository lacks something, or has something else in a file's place."""


@dataclass(frozen=True)
class Setup:
    """`products`: folders of products, and `requirements`, the file that pins ml-assets: paths in the repository. `owners`: who
    approves of weakenings, as CODEOWNERS names them."""

    forge: ForgeName
    branch: str
    products: tuple[str, ...]
    names: tuple[str, ...]
    requirements: str
    owners: tuple[str, ...]

    def files(self, repository: Repository) -> dict[str, str]:
        """The text of each file, by path."""
        texts = {place: self._filled(name) for name, place in PLACES[self.forge].items()}
        owned = next((name for name in CODE_OWNERS[self.forge] if (repository.root / name).is_file()), None)
        lines = self._owned_paths(texts)
        if owned is None:
            return {**texts, CODE_OWNERS[self.forge][0]: "".join(lines)}
        have = (repository.root / owned).read_text(encoding="utf-8")
        missing = [line for line in lines if line not in have.splitlines(keepends=True)]
        return {**texts, owned: have + "".join(missing)}

    @property
    def by_hand(self) -> str:
        """The steps that people take by hand, since no file can."""
        return self._filled("by-hand.txt")

    def _filled(self, template: str) -> str:
        text = package_files("ml_assets").joinpath("templates", self.forge, template).read_text(encoding="utf-8")
        values = {"BRANCH": self.branch, "PRODUCTS": ":".join(self.products), "NAMES": " ".join(self.names)}
        for name, value in {**values, "REQUIREMENTS": self.requirements}.items():
            text = text.replace(f"@{name}@", value)
        return text

    def _owned_paths(self, texts: Mapping[str, str]) -> list[str]:
        roots = ["" if folder == "." else f"/{folder}" for folder in self.products]
        declared = [f"{root}/*/{name}" for root in roots for name in (SPEC_FILE, CONTRACT_FILE, FEATURES_FILE, "dbt/")]
        itself = [f"/{name}" for name in CODE_OWNERS[self.forge]]
        paths = [*declared, *(f"/{place}" for place in texts), f"/{self.requirements}", *itself]
        return [f"{path} {' '.join(self.owners)}\n" for path in paths]


def setup(repository: Repository, forge: ForgeName, *, roots: Sequence[Path], requirements: str, owners: Sequence[str]) -> Setup:
    """The files and settings that the repository needs. Raises SetupRefused where it has no products or doesn't pin ml-assets."""
    inside = [root for root in roots if repository.holds(root)]
    names = sorted(file.parent.name for root in inside for file in root.glob(f"*/{SPEC_FILE}"))
    if not names:
        raise SetupRefused(f"{repository.root} has no products; name their folder: ML_ASSETS_PRODUCTS=products ml-assets ci init")
    if not (repository.root / requirements).is_file():
        raise SetupRefused(f"{requirements} is not there; pin ml-assets in it, or name another: --requirements FILE")
    folders = tuple(root.relative_to(repository.root).as_posix() for root in inside)
    return Setup(forge, repository.default_branch_name, folders, tuple(names), requirements, tuple(owners))


def write(repository: Repository, files: Mapping[str, str], *, force: bool) -> list[str]:
    """Write the files; the paths of those that were not there like that. Raises SetupRefused, and writes none, where one is there
    with another text, unless `force`. A text that begins with the one that is there only adds lines."""
    there = {path: (repository.root / path).read_text("utf-8", "replace") for path in files if (repository.root / path).exists()}
    differing = [path for path, text in there.items() if not files[path].startswith(text)]
    if differing and not force:
        raise SetupRefused(
            f"{', '.join(differing)}: there is another text already, and nothing was written; `--force` writes over it"
        )
    changed = [path for path, text in files.items() if there.get(path) != text]
    for path in changed:
        (repository.root / path).parent.mkdir(parents=True, exist_ok=True)
        (repository.root / path).write_text(files[path], encoding="utf-8")
    return changed
