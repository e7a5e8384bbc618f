"""Bodies of entries as frozen records, parsed where an entry is read. The stored bytes, which hashes cover, are never rewritten.

A body without a version is of the first. What older code wrote otherwise is upcast by kind; fields that are not known are passed
over. Does not belong here: what a record means (ml_assets.core).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from ml_assets.errors import MlAssetsError
from resources.ledger.chain import Entry

NEWEST_VERSION = 1
Body = TypeVar("Body", bound=msgspec.Struct)
Stored = Mapping[str, Any]


class EntryNewer(MlAssetsError):
    """An entry was written by a later ml-assets than this one."""


class EntryMalformed(MlAssetsError):
    """An entry's body does not have the shape of its kind."""


@dataclass(frozen=True)
class Record(Generic[Body]):
    """An entry of the ledger with its body parsed. `at` is UTC, ISO 8601."""

    seq: int
    at: str
    kind: str
    hash: str
    body: Body


def read(entry: Entry, body: type[Body]) -> Record[Body]:
    """The entry with its body as this record. Raises EntryNewer or EntryMalformed, with the entry's number."""
    what = f"ledger entry {entry.seq} ({entry.kind}, {entry.at})"
    version = entry.body.get("version", NEWEST_VERSION)
    if version != NEWEST_VERSION:
        raise EntryNewer(
            f"{what} has version {version!r}; this ml-assets reads up to version {NEWEST_VERSION}: "
            f"update it with `git pull && make install`"
        )
    try:
        parsed = msgspec.convert(_UPCASTS.get(entry.kind, dict)(entry.body), body)
    except msgspec.ValidationError as error:
        raise EntryMalformed(f"{what}: {error}; `ml-assets verify` says whether it was changed") from error
    return Record(entry.seq, entry.at, entry.kind, entry.hash, parsed)


def stored(body: msgspec.Struct | Stored) -> Stored:
    """The body as JSON values, as it is hashed and written."""
    return msgspec.to_builtins(body) if isinstance(body, msgspec.Struct) else body


def _shadow(body: Stored) -> Stored:
    """Before canaries there was no share."""
    return {"share": 0.0, **body}


_UPCASTS: Mapping[str, Callable[[Stored], Stored]] = {"shadow": _shadow}
