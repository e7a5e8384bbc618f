"""API keys, which allow predictions or moving the endpoint. Only hashes are configured, and no key is ever written down.

Keys are 256 random bits, so that a plain SHA-256 of one cannot be guessed back.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from ml_assets.errors import MlAssetsError

Scope = Literal["predict", "outcomes", "admin"]
PEER = "another worker"
"""The name of the key of a server's workers; no configured key has it, because it has spaces."""
_SCOPES: Mapping[str, Scope] = {scope: scope for scope in get_args(Scope)}
_LINE = re.compile(r"(?P<scope>predict|outcomes|admin):(?P<hash>[0-9a-f]{64})(?::(?P<name>[A-Za-z0-9_.-]{1,64}))?")


class KeysRefused(MlAssetsError):
    """The configured keys are not lines of `scope:sha256[:name]`."""


@dataclass(frozen=True)
class ApiKey:
    """A configured key: its hash, what it allows and what it is called in logs."""

    scope: Scope
    digest: str
    name: str


def new_key(scope: Scope) -> tuple[str, str]:
    """Make a key, and the line that configures it."""
    key = f"mla_{secrets.token_urlsafe(32)}"
    return key, f"{scope}:{_digest(key.encode())}"


def peer_key() -> tuple[str, ApiKey]:
    """Make a key for the workers of one server, as text and as they recognise it."""
    key = secrets.token_urlsafe(32)
    return key, ApiKey("admin", _digest(key.encode()), PEER)


def parse_keys(text: str) -> tuple[ApiKey, ...]:
    """Parse lines (or words) `scope:sha256[:name]`; text after # is a comment. Raises KeysRefused."""
    keys = []
    for number, line in enumerate(text.splitlines(), start=1):
        for word in line.partition("#")[0].split():
            match = _LINE.fullmatch(word)
            if match is None:  # the word is not shown: it may be a key that someone put here by mistake
                raise KeysRefused(f"keys, line {number}: not scope:sha256[:name]; `ml-assets serve --new-key predict` makes one")
            keys.append(ApiKey(_SCOPES[match["scope"]], match["hash"], match["name"] or match["hash"][:8]))
    return tuple(keys)


def matching_key(keys: Sequence[ApiKey], authorization: bytes | None) -> ApiKey | None:
    """Return the key of an `Authorization: Bearer ...` header, None if none matches. Compares every hash, in constant time."""
    scheme, _, key = (authorization or b"").partition(b" ")
    if scheme.lower() != b"bearer" or not key:
        return None
    digest, match = _digest(key.strip()), None
    for configured in keys:
        if hmac.compare_digest(configured.digest, digest):
            match = configured
    return match


def _digest(key: bytes) -> str:
    return hashlib.sha256(key).hexdigest()
