"""What a server holds in memory: the release that answers, and the candidate that is tried beside it."""

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
    """A loaded bundle and the decision that made it answer; `instead_of` says why it is not the one that should.

    One assignment of this makes it and what stands beside it answer, or neither.
    """

    bundle: Bundle
    pointer: Pointer
    loaded_seconds: float
    instead_of: str | None = None
    beside: "Beside | None" = None


@dataclass(frozen=True)
class Beside:
    """A candidate: in the shadow it scores what was answered; as a canary it answers a share of the requests too.

    `canary` is for the event loop, None in the shadow. `scorers` are for the shadow's thread alone, by digest: of the candidate,
    and, beside a canary, of the champion, which scores what the canary answered. `asked` are the names of the request's fields
    that a share is chosen by.
    """

    digest: str
    share: float
    canary: Serving | None
    scorers: Mapping[str, Bundle]
    asked: tuple[str, ...]

    @property
    def release(self) -> str:
        """The candidate's name."""
        return self.scorers[self.digest].release

    def takes(self, row: msgspec.Struct) -> bool:
        """Whether a request that begins with this row is of the canary's share.

        Stable: it is a hash of the row's key and the candidate's digest, so who asks again is answered by the same release.
        """
        if self.canary is None:
            return False
        key = msgspec.msgpack.encode([getattr(row, name) for name in self.asked])
        hashed = hashlib.blake2b(key, digest_size=HASH_BYTES, salt=self.digest.encode()[:SALT_BYTES]).digest()
        number: int = int.from_bytes(hashed, "big")
        return number < self.share * 256.0**HASH_BYTES

    def other(self, digest: str) -> str:
        """Which bundle scores what the one of this digest answered."""
        return next((each for each in self.scorers if each != digest), self.digest)


def key_fields(champion: Bundle, candidate: Bundle) -> tuple[str, ...]:
    """The fields of the key that requests to both have; every field where there is none."""
    names = [each.name for each in champion.requests.fields]
    common = set(names) & {each.name for each in candidate.requests.fields}
    return tuple(name for name in champion.card.key if name in common) or tuple(names)


def converted(rows: Sequence[msgspec.Struct], answered_by: Bundle, scorer: Bundle) -> Sequence[msgspec.Struct]:
    """Rows that one bundle decoded, as another knows them, under its own rules. Raises BadRequest for what it does not take."""
    if answered_by.requests.fields == scorer.requests.fields:
        return rows
    return scorer.requests.convert([msgspec.to_builtins(row) for row in rows])
