"""The release that serves: one small JSON file per product and environment, replaced as a whole or not at all."""

from pathlib import Path

import msgspec

from ml_assets.errors import MlAssetsError
from resources.store.blobs import write_atomically


class PointerError(MlAssetsError):
    """The pointer file is not one that `write` wrote."""


class Shadow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A release that scores the same requests as the one that serves; it answers `share` (0 to 1) of them itself (a canary)."""

    release: str
    bundle: str
    as_of: str
    since: str
    by: str
    reason: str
    share: float = 0.0


class Pointer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The release that serves, since when (UTC, ISO 8601), and by whose decision."""

    release: str
    bundle: str
    """Digest of the bundle's snapshot."""
    as_of: str
    since: str
    by: str
    reason: str
    previous: str | None = None
    """Digest of the bundle that served before."""
    shadow: Shadow | None = None


def read(path: Path) -> Pointer | None:
    """Return the pointer, or None if nothing was ever promoted. Raises PointerError."""
    try:
        payload = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        return msgspec.json.decode(payload, type=Pointer)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PointerError(f"{path}: not a pointer: {error}") from error


def content(pointer: Pointer) -> bytes:
    """The bytes of its file."""
    values = {name: value for name, value in msgspec.structs.asdict(pointer).items() if name != "shadow" or value is not None}
    return msgspec.json.format(msgspec.json.encode(values), indent=2) + b"\n"


def write(path: Path, pointer: Pointer) -> None:
    """Make `pointer` what `path` holds, for good once this returns; a file that holds it already is left alone."""
    if not path.is_file() or path.read_bytes() != content(pointer):
        write_atomically(path, content(pointer))
