"""An HTTP client of the endpoint, with the standard library alone. The API key is that of ML_ASSETS_KEY unless one is given."""

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

from ml_assets.errors import MlAssetsError
from resources.settings import settings

SECONDS = 30.0
METRICS_SECONDS = 2.0
"""A metrics collector gives up sooner on a server that is starting."""


class EndpointError(MlAssetsError):
    """The endpoint refused, or didn't answer."""


class EndpointRefused(EndpointError):
    """The endpoint answered with an error status; `detail` is its body."""

    def __init__(self, url: str, status: int, detail: Any) -> None:
        """Compose the message; of a long body it has the first 2,000 characters."""
        super().__init__(f"{url}: status {status}: {json.dumps(detail)[:2000]}")
        self.status = status
        self.detail = detail


class EndpointUnreachable(EndpointError):
    """No answer came: nothing listens there, or the connection broke."""


def predict(base_url: str, rows: Sequence[Mapping[str, Any]], *, key: str | None = None) -> dict[str, Any]:
    """Return the answer for the rows: `release`, and `predictions` in order. Raises EndpointError, as all functions here."""
    return _call(base_url, "/predict", body=json.dumps({"rows": list(rows)}).encode(), key=key)


def reload(base_url: str, *, key: str | None = None) -> dict[str, Any]:
    """Have the endpoint serve the release that its pointer names. Return the release that serves now."""
    return _call(base_url, "/reload", body=b"", key=key)


def rollback(base_url: str, *, to: str | None = None, reason: str | None = None, key: str | None = None) -> dict[str, Any]:
    """Serve an earlier release: the one before, or the one named `to`. Return the release that serves now."""
    body = {name: value for name, value in {"to": to, "reason": reason}.items() if value is not None}
    return _call(base_url, "/rollback", body=json.dumps(body).encode(), key=key)


def release(base_url: str) -> dict[str, Any]:
    """Return the release that serves, since when, by whose decision."""
    return _call(base_url, "/version")


def stranger(version: Mapping[str, Any], ledger: str | None) -> str:
    """Say that a server, by its answer of `release`, belongs to another ledger than the one of this identity; empty if not, or if
    one of the two is not known."""
    other = (version.get("ledger") or {}).get("id")
    if not other or not ledger or other == ledger:
        return ""
    return (
        f"belongs to another home: it follows the ledger {other[:12]}, and serves {version['release']} of {version['product']}; "
        f"this home's ledger is {ledger[:12]}. Stop that server, or give this one another port"
    )


def ready(base_url: str) -> dict[str, Any]:
    """Return the release that is ready to serve. Raises EndpointRefused with the reason when none is."""
    return _call(base_url, "/readyz")


def metrics(base_url: str, *, key: str | None = None) -> str:
    """Return the endpoint's metrics as Prometheus text."""
    return _ask(base_url, "/metrics", key=key, seconds=METRICS_SECONDS).decode()


def _call(base_url: str, path: str, *, body: bytes | None = None, key: str | None = None) -> dict[str, Any]:
    text = _ask(base_url, path, body=body, key=key)
    try:
        content: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise EndpointUnreachable(f"{base_url.rstrip('/')}{path}: {error}") from error
    return content


def _ask(base_url: str, path: str, *, body: bytes | None = None, key: str | None = None, seconds: float = SECONDS) -> bytes:
    url = base_url.rstrip("/") + path
    shown = settings().key if key is None else key
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {shown}"} if shown else {})
    request = urllib.request.Request(url, data=body, headers=headers)
    # Without a proxy: those in the environment are for other hosts.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=seconds) as response:
            content: bytes = response.read()
    except urllib.error.HTTPError as error:
        raise EndpointRefused(url, error.code, _detail(error.read())) from error
    except (OSError, http.client.HTTPException) as error:
        raise EndpointUnreachable(f"{url}: {error}") from error
    return content


def _detail(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")
