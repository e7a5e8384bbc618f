"""The releases that a server has in memory: the one that serves, and a candidate in its shadow or as a canary."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from ml_assets.serving.release.bundle import Bundle
from resources.endpoints.pointer import Pointer

HASH_BYTES = 8
SALT_BYTES = 16


@dataclass(frozen=True)
class Serving:
    """A loaded bundle and the decision to serve it; `instead_of` says why it isn't the one that the pointer names.

    One assignment of this swaps it and its candidate together.
    """

    bundle: Bundle
    pointer: Pointer
    loaded_seconds: float
    instead_of: str | None = None
    candidate: "Candidate | None" = None


@dataclass(frozen=True)
class Candidate:
    """A candidate: in the shadow it scores served requests; as a canary it serves a share of the requests too.

    `canary` is for the event loop, None in the shadow. `scorers` are for the shadow's thread alone, by digest: the candidate and,
    with a canary, the champion, which scores the requests that the canary served. `share_attributes` of a row decide which of the
    requests are of the canary's share.
    """

    digest: str
    share: float
    canary: Serving | None
    scorers: Mapping[str, Bundle]
    share_attributes: tuple[str, ...]

    @property
    def release(self) -> str:
        """The candidate's name."""
        return self.scorers[self.digest].release

    def takes(self, row: msgspec.Struct) -> bool:
        """Whether a request that begins with this row is of the canary's share.

        Stable: it is a hash of the row's key and the candidate's digest, so the same release serves a repeated request.
        """
        if self.canary is None:
            return False
        key = msgspec.msgpack.encode([getattr(row, attribute) for attribute in self.share_attributes])
        hashed = hashlib.blake2b(key, digest_size=HASH_BYTES, salt=self.digest.encode()[:SALT_BYTES]).digest()
        number: int = int.from_bytes(hashed, "big")
        return number < self.share * 256.0**HASH_BYTES

    def other(self, digest: str) -> str:
        """Return the digest of the bundle that scores the requests served by the one of this digest."""
        return next((other for other in self.scorers if other != digest), self.digest)


def key_attributes(champion: Bundle, candidate: Bundle) -> tuple[str, ...]:
    """Return the attributes of the champion's rows for the fields of its key that both requests have; if none, for all fields."""
    names = [field.name for field in champion.requests.fields]
    common = set(names) & {field.name for field in candidate.requests.fields}
    shared = [name for name in champion.card.key if name in common] or names
    return tuple(champion.requests.attributes[name] for name in shared)


def converted(rows: Sequence[msgspec.Struct], served_by: Bundle, scorer: Bundle) -> Sequence[msgspec.Struct]:
    """Convert rows that one bundle decoded to another's fields, under its rules. Raises BadRequest for rows that it refuses."""
    if served_by.requests.fields == scorer.requests.fields:
        return rows
    return scorer.requests.convert([msgspec.to_builtins(row) for row in rows])
