"""The hash chain of the ledger, and what can be shown of an entry without its body. Reads no database.

An entry's hash covers its number, time, kind, the digest of its body and the hash before it. So a body can be withheld from a
copy, or erased, and the chain still verifies. Entries of before that have the body itself in their hash; they keep that rule.
The two rules hash JSON objects with different keys, so that no hash is right under both.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ml_assets.core.digests import digest_json

GENESIS = "0" * 64
ERASED = "erased"
BODY_SHA256 = "body_sha256"

Rule = Literal["body", "digest", "erased"]
"""The rule that a hash is right by: over the body itself (before), its digest (now), or the digest that a tombstone names."""


@dataclass(frozen=True)
class Entry:
    """One line of the ledger. `at` is UTC, ISO 8601."""

    seq: int
    at: str
    kind: str
    body: Mapping[str, Any]
    previous: str
    hash: str


def entry_hash(*, seq: int, at: str, kind: str, body: Mapping[str, Any], previous: str) -> str:
    """The hash that chains an entry to the one before it."""
    return hash_without_body(seq=seq, at=at, kind=kind, body_sha256=digest_json(body), previous=previous)


def hash_without_body(*, seq: int, at: str, kind: str, body_sha256: str, previous: str) -> str:
    """The same from the digest of the body's canonical JSON."""
    return digest_json({"seq": seq, "at": at, "kind": kind, BODY_SHA256: body_sha256, "previous": previous})


def body_rule_hash(*, seq: int, at: str, kind: str, body: Mapping[str, Any], previous: str) -> str:
    """The hash of entries that were written before bodies could be erased."""
    return digest_json({"seq": seq, "at": at, "kind": kind, "body": body, "previous": previous})


def rule_of(entry: Entry) -> Rule | None:
    """The rule that the entry's hash is right by, None for one that is wrong."""
    written: dict[str, Any] = {"seq": entry.seq, "at": entry.at, "kind": entry.kind, "previous": entry.previous}
    if entry.hash == entry_hash(**written, body=entry.body):
        return "digest"
    erased = erased_sha256(entry.body)
    if erased is not None and entry.hash == hash_without_body(**written, body_sha256=erased):
        return "erased"
    return "body" if entry.hash == body_rule_hash(**written, body=entry.body) else None


def tombstone(body_sha256: str) -> dict[str, Any]:
    """The body that replaces an erased one."""
    return {ERASED: {BODY_SHA256: body_sha256}}


def erased_sha256(body: Mapping[str, Any]) -> str | None:
    """The digest that a tombstone names; None for any other body."""
    match body:
        case {"erased": {"body_sha256": str(digest), **inner}, **outer} if not inner and not outer:
            return digest
    return None
