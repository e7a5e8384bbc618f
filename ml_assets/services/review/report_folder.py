"""The folder that a review is written to: report.md, report.json, junit.xml, and a picture for each plot."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from ml_assets.core.changes.junit import junit
from ml_assets.core.changes.review import Review
from ml_assets.core.changes.review_page import page
from ml_assets.errors import MlAssetsError

MOST_BYTES = 4_000_000
JSON = "report.json"


class ReportRefused(MlAssetsError):
    """The file is not a report.json, or not of the commit that it should be of."""


def as_json(review: Review) -> str:
    """report.json; `ml-assets schema report.json` prints its schema."""
    return msgspec.json.format(msgspec.json.encode(review), indent=1).decode() + "\n"


def make(folder: Path) -> None:
    """Make the folder. A new one is kept out of git: the next report would call the work tree that it lies in changed."""
    if not folder.exists():
        folder.mkdir(parents=True)
        (folder / ".gitignore").write_text("*\n", encoding="utf-8")


def write(review: Review, pictures: Mapping[str, bytes], folder: Path) -> None:
    """Write the files. Pictures of an earlier review are removed, so that none is taken for one of this."""
    make(folder)
    for old in folder.glob("*.svg"):
        old.unlink()
    for name, picture in pictures.items():
        (folder / name).write_bytes(picture)
    (folder / JSON).write_text(as_json(review), encoding="utf-8")
    (folder / "junit.xml").write_bytes(junit(review))
    (folder / "report.md").write_text(page(review), encoding="utf-8")


def read(file: Path) -> Review:
    """A report.json that may be hostile, held against its schema. Raises ReportRefused."""
    if file.is_symlink() or not file.is_file() or file.stat().st_size > MOST_BYTES:
        raise ReportRefused(f"{file.name} is not there, no plain file, or has more than {MOST_BYTES:,} bytes")
    try:
        return msgspec.json.decode(file.read_bytes(), type=Review)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ReportRefused(
            f"{file.name} is not a report: {error}; `ml-assets schema report.json` prints what it may hold"
        ) from None
