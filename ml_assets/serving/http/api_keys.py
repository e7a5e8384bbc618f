"""API keys, which allow predictions or moving the endpoint, and the keys by which people are known. Only hashes are configured,
and no key is ever written down. A key may have an owner, and a last day.

Keys are 256 random bits, so that a plain SHA-256 of one cannot be guessed back.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Literal, get_args

from ml_assets.errors import MlAssetsError
from ml_assets.spec.people import NAME

Scope = Literal["predict", "outcomes", "admin", "person"]
SERVED: tuple[Scope, ...] = ("predict", "outcomes", "admin")
"""The scopes of keys that an endpoint takes."""
PEER = "another worker"
"""The name of the key of a server's workers; no configured key has it, because it has spaces."""
_SCOPES: Mapping[str, Scope] = {scope: scope for scope in get_args(Scope)}
_LINE = re.compile(
    rf"(?P<scope>{'|'.join(_SCOPES)}):(?P<hash>[0-9a-f]{{64}})(?::(?P<owner>{NAME})(?::(?P<until>\d{{4}}-\d\d-\d\d))?)?"
)


class KeysRefused(MlAssetsError):
    """The configured keys are not lines of `scope:sha256[:owner[:last day]]`."""


@dataclass(frozen=True)
class ApiKey:
    """A configured key: its hash, what it allows, whose it is (empty if nobody's), and the last day (UTC) on which it counts."""

    scope: Scope
    digest: str
    owner: str = ""
    until: date | None = None

    @property
    def id(self) -> str:
        """The short name that tells it from others, in the ledger and in messages."""
        return self.digest[:8]

    @property
    def name(self) -> str:
        """The name in logs."""
        return self.owner or self.id

    @property
    def expired(self) -> str:
        """That it no longer counts, in words; empty while it does."""
        if self.until is None or datetime.now(UTC).date() <= self.until:
            return ""
        return f"key {self.id} of {self.owner} has expired: its last day was {self.until}"


def new_key(scope: Scope, owner: str = "", until: date | None = None) -> tuple[str, str]:
    """Make a key, and the line that configures it. Raises KeysRefused for an owner that a line cannot have, and for a last day
    without an owner."""
    if until and not owner:
        raise KeysRefused("a key that has a last day needs an owner too")
    if owner and not re.fullmatch(NAME, owner):
        raise KeysRefused(f"{owner!r} cannot own a key: a name has letters, digits and _.@+-, at most 64 of them")
    key = f"mla_{secrets.token_urlsafe(32)}"
    return key, ":".join(filter(None, [scope, _digest(key.encode()), owner, until.isoformat() if until else ""]))


def peer_key() -> tuple[str, ApiKey]:
    """Make a key for the workers of one server, as text and as they recognise it."""
    key = secrets.token_urlsafe(32)
    return key, ApiKey("admin", _digest(key.encode()), PEER)


def parse_keys(text: str, scopes: Collection[Scope] = SERVED) -> tuple[ApiKey, ...]:
    """Parse lines (or words) `scope:sha256[:owner[:last day]]`; text after # is a comment. Raises KeysRefused, also for a key of
    another scope than those that belong here."""
    lines = enumerate(text.splitlines(), start=1)
    words = [(number, word) for number, line in lines for word in line.partition("#")[0].split()]
    place = "ML_ASSETS_PEOPLE" if "person" in scopes else "ML_ASSETS_KEYS"
    return tuple(_parsed(word, f"{place}, line {number}", scopes) for number, word in words)


def matching_key(keys: Sequence[ApiKey], authorization: bytes | None) -> ApiKey | None:
    """Return the key of an `Authorization: Bearer ...` header, None if none matches."""
    scheme, _, key = (authorization or b"").partition(b" ")
    return key_of(keys, key) if scheme.lower() == b"bearer" and key else None


def key_of(keys: Sequence[ApiKey], key: bytes) -> ApiKey | None:
    """Return what is configured for a key, None if nothing is. Compares every hash, in constant time."""
    digest, match = _digest(key.strip()), None
    for configured in keys:
        if hmac.compare_digest(configured.digest, digest):
            match = configured
    return match


def _parsed(word: str, where: str, scopes: Collection[Scope]) -> ApiKey:
    """The key of a word. The word is never shown: it may be a key that someone put there by mistake."""
    command = "`ml-assets people add NAME`" if "person" in scopes else "`ml-assets serve --new-key predict`"
    match = _LINE.fullmatch(word)
    if match is None:
        raise KeysRefused(f"{where}: not scope:sha256[:owner[:last day]]; {command} makes one")
    scope = _SCOPES[match["scope"]]
    if scope not in scopes:
        place = "ML_ASSETS_PEOPLE" if scope == "person" else "ML_ASSETS_KEYS"
        raise KeysRefused(f"{where}: a key of scope {scope} belongs in {place}; {command} makes one for here")
    try:
        until = date.fromisoformat(match["until"]) if match["until"] else None
    except ValueError:
        raise KeysRefused(f"{where}: {match['until']} is not a day; write YYYY-MM-DD") from None
    return ApiKey(scope, match["hash"], match["owner"] or "", until)


def _digest(key: bytes) -> str:
    return hashlib.sha256(key).hexdigest()
