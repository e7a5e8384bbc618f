"""The files of a team's own project folder, which runs against the installed package."""

import json
from importlib.metadata import Distribution, distribution
from importlib.resources import files as package_files
from pathlib import Path

from ml_assets.errors import MlAssetsError
from resources.project_file import FILE
from resources.store.blobs import write_atomically

PACKAGE = "ml-assets"
PLACES = {
    "ml-assets.env": FILE,
    "definitions.txt": "definitions.py",
    "workspace.yaml": "workspace.yaml",
    "gitignore.txt": ".gitignore",
    "products.md": "products/README.md",
    "README.md": "README.md",
}
"""Where each template goes."""
REQUIREMENTS = "requirements.txt"


class ProjectRefused(MlAssetsError):
    """The folder has something else in a file's place."""


def project_files(folder: Path) -> dict[str, str]:
    """The text of each file of a new project, by path in its folder."""
    templates = package_files("ml_assets").joinpath("templates", "project")
    texts = {place: templates.joinpath(name).read_text(encoding="utf-8") for name, place in PLACES.items()}
    texts = {place: text.replace("@NAME@", folder.name) for place, text in texts.items()}
    return {**texts, REQUIREMENTS: f"{requirement(distribution(PACKAGE))}\n"}


def write_project(folder: Path) -> list[str]:
    """Write the files; the paths of those that were not there. Raises ProjectRefused, and writes none, where another text is."""
    texts = project_files(folder)
    there = {path: folder / path for path in texts if (folder / path).exists()}
    differing = sorted(path for path, file in there.items() if not file.is_file() or file.read_bytes() != texts[path].encode())
    if differing:
        raise ProjectRefused(
            f"{folder}: {', '.join(differing)} is there with another text, and nothing is written over; "
            f"name a new folder: ml-assets init DIR"
        )
    written = [path for path in texts if path not in there]
    for path in written:
        write_atomically(folder / path, texts[path].encode())
    return written


def requirement(package: Distribution) -> str:
    """The line that pins the package as it is installed here: by its commit where it came from git, else by its version."""
    recorded = package.read_text("direct_url.json")
    origin = json.loads(recorded) if recorded else {}
    if commit := origin.get("vcs_info", {}).get("commit_id"):
        return f"{PACKAGE} @ git+{origin['url']}@{commit}"
    return f"{PACKAGE}=={package.version}"
