"""Which release answers: one small JSON file per product and environment, replaced as a whole or not at all.

<home>/endpoints/<product>/<environment>.json
"""

import os
import tempfile
from pathlib import Path

import msgspec

from ml_assets.errors import MlAssetsError


class PointerError(MlAssetsError):
    """The pointer file is not one that `write` wrote."""


class Pointer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The release that answers, since when, and by whose decision."""

    release: str
    bundle: str
    """Digest of the bundle's snapshot."""
    as_of: str
    since: str
    by: str
    reason: str
    previous: str | None = None
    """Digest of the bundle that answered before: where a rollback goes."""


def pointer_path(home: Path, *, product: str, environment: str) -> Path:
    """Where the pointer of a product's environment lies."""
    return home / "endpoints" / product / f"{environment}.json"


def read(path: Path) -> Pointer | None:
    """The pointer, or None when nothing was ever promoted."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        return msgspec.json.decode(content, type=Pointer)
    except msgspec.DecodeError as error:
        raise PointerError(f"{path}: not a pointer: {error}") from error


def write(path: Path, pointer: Pointer) -> None:
    """Make `pointer` what `path` holds, for good once this returns: a crash leaves the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = msgspec.json.format(msgspec.json.encode(pointer), indent=2) + b"\n"
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
