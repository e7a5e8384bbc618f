"""Admission of requests: API keys where they are configured, and a limit on the requests of one client under way."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address

from ml_assets.core.release.identity import Identity
from ml_assets.serving.http.api_keys import PEER, ApiKey, Scope, matching_key
from ml_assets.serving.http.body_io import AsgiRequest
from ml_assets.serving.requests.refusals import BadRequest, Refusal


@dataclass(frozen=True)
class Client:
    """Who asks: a name for logs, and the owner of its key, if that has one."""

    name: str
    identity: Identity | None = None


@dataclass
class Admission:
    """Refuses with 401, 403 or 429. Without keys anyone may predict; only this machine may move the endpoint, or bring
    outcomes."""

    keys: Sequence[ApiKey] = ()
    most_per_client: int = 256
    peer: ApiKey | None = None
    """The key of this server's other workers, which may do everything."""
    under_way: Counter[str] = field(default_factory=Counter)

    def admit(self, request: AsgiRequest, scope: Scope) -> str:
        """Return the client's name: that of its key, or its address. Raises BadRequest with 401 or 403."""
        return self.client(request, scope).name

    def client(self, request: AsgiRequest, scope: Scope) -> Client:
        """Return the client. Raises BadRequest with 401 or 403."""
        if scope == "admin" and self.is_peer(request):
            return Client(PEER)
        client = request.scope.get("client")
        address = str(client[0]) if client else "unknown"
        if not self.keys:
            if scope != "predict" and not _is_loopback(address):
                raise _refusal(403, "without API keys only this machine may do this", "not_allowed")
            return Client(address)
        key = matching_key(self.keys, request.header(b"authorization"))
        if key is None:
            raise _refusal(401, "needs an API key: Authorization: Bearer KEY", "no_key")
        if key.expired:
            raise _refusal(401, f"the {key.expired}; `ml-assets serve --new-key {key.scope}` makes another", "expired_key")
        if scope != "predict" and key.scope not in (scope, "admin"):
            raise _refusal(403, "the API key does not allow this", "not_allowed")
        return Client(key.name, Identity(key.owner, f"API key {key.id}") if key.owner else None)

    def is_peer(self, request: AsgiRequest) -> bool:
        """Whether the request is from another worker of this server."""
        return self.peer is not None and matching_key((self.peer,), request.header(b"authorization")) is not None

    def enter(self, client: str) -> None:
        """Count a request of this client as under way, until `leave`. Raises BadRequest with 429."""
        if self.under_way[client] >= self.most_per_client:
            raise _refusal(429, f"{self.most_per_client} requests of this client are under way already", "client_quota")
        self.under_way[client] += 1

    def leave(self, client: str) -> None:
        """Count a client's request as answered."""
        self.under_way[client] -= 1
        if not self.under_way[client]:
            del self.under_way[client]


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def _refusal(status: int, message: str, reason: str) -> BadRequest:
    return BadRequest(status, [Refusal(path="", message=message)], reason=reason)
