"""Archives of the test data, unpacked on every Python that the project takes."""

import shutil
import tarfile
from pathlib import Path
from typing import Any


def unpack_archive(archive: Path, folder: Path) -> None:
    """Unpack an archive. Python 3.12 asks for a filter, and the first releases of 3.11 know none."""
    known: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    shutil.unpack_archive(archive, folder, **known)
