"""A client of a Dagster webserver's GraphQL API, with the standard library alone. It knows no query."""

import http.client
import json
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ml_assets.errors import MlAssetsError
from resources.http.no_redirects import open_without_redirects

SECONDS = 90.0
"""More than Dagster gives a sensor to be evaluated."""
SHOWN = 500


class WebserverError(MlAssetsError):
    """The webserver refused, or didn't answer."""


class WebserverUnreachable(WebserverError):
    """No answer came: nothing listens there, the connection broke, or the server is starting."""


class WebserverRefused(WebserverError):
    """It answered that it doesn't do this, or it is not a Dagster webserver."""


@dataclass(frozen=True)
class Webserver:
    """The server at `url`, a prefix of its path included; `token` is sent as a bearer token and shown nowhere."""

    url: str
    token: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        """Raise WebserverRefused for a URL that is not http or https."""
        if urlsplit(self.url).scheme not in ("http", "https") or not urlsplit(self.url).netloc:
            raise WebserverRefused(f"{self.url!r} is not an address of a webserver; give one like http://dagster.example:3000")

    def run_page(self, run: str) -> str:
        """The address of a run in Dagster's UI."""
        return f"{self.url.rstrip('/')}/runs/{run}"

    def ask(self, query: str, **variables: Any) -> Any:
        """The value of the query's one field. Raises WebserverUnreachable and WebserverRefused."""
        text = self._post(json.dumps({"query": query, "variables": variables}).encode())
        try:
            answer = json.loads(text)
            if errors := answer.get("errors"):
                raise WebserverRefused(f"{self.url}: {'; '.join(str(error['message']) for error in errors)[:SHOWN]}")
            (value,) = answer["data"].values()
        except (ValueError, AttributeError, KeyError, TypeError) as error:
            raise WebserverRefused(f"{self.url}/graphql answers, and not as a Dagster webserver does: {text[:80]!r}") from error
        return value

    def _post(self, body: bytes) -> bytes:
        headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {self.token}"} if self.token else {})
        request = urllib.request.Request(f"{self.url.rstrip('/')}/graphql", data=body, headers=headers, method="POST")
        try:
            with open_without_redirects(request, seconds=SECONDS) as response:
                return response.read()
        except urllib.error.HTTPError as error:
            with error:
                if error.code in (400, 500) and error.headers.get_content_type() == "application/json":
                    return error.read()  # Dagster's own errors, as the query's answer
                kind = WebserverUnreachable if error.code in (502, 503, 504) else WebserverRefused
                raise kind(f"{self.url}: status {error.code}{_hint(error)}") from error
        except (OSError, http.client.HTTPException) as error:
            raise WebserverUnreachable(f"{self.url}: {getattr(error, 'reason', None) or error}") from error


def _hint(error: urllib.error.HTTPError) -> str:
    if error.code in (401, 403):
        return "; set ML_ASSETS_DAGSTER_TOKEN to a token that may launch runs"
    if to := error.headers.get("location"):
        return f": it redirects to {to}; give that address, if it is the webserver's"
    return f": {error.reason}"
