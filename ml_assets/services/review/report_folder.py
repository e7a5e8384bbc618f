"""The folder that a review is written to: report.md, report.json, junit.xml, and a picture for each plot."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from ml_assets.core.changes.junit import junit
from ml_assets.core.changes.page import page
from ml_assets.core.changes.review import Review


def as_json(review: Review) -> str:
    """report.json; `ml-assets schema report.json` prints its schema."""
    return msgspec.json.format(msgspec.json.encode(review), indent=1).decode() + "\n"


def write(review: Review, pictures: Mapping[str, bytes], folder: Path) -> None:
    """Write the files. Pictures of an earlier review are removed, so that none is taken for one of this."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.svg"):
        old.unlink()
    for name, picture in pictures.items():
        (folder / name).write_bytes(picture)
    (folder / "report.json").write_text(as_json(review), encoding="utf-8")
    (folder / "junit.xml").write_bytes(junit(review))
    (folder / "report.md").write_text(page(review), encoding="utf-8")
