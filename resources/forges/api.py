"""A forge's REST API: pages, limits and failures, as errors that name the next step and never the token."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from time import sleep, time
from typing import Any
from urllib.parse import urlsplit

import requests

from resources.forges.forge import ForgeRefused

TIMEOUT = 60
ATTEMPTS = 4
MOST_WAIT = 120
"""Seconds that a rate limit is waited for."""
MOST_PAGES = 100
IDEMPOTENT = ("GET", "PUT", "PATCH")
"""Methods that may be sent again after a failure that leaves open whether they were carried out."""


class NotFound(ForgeRefused):
    """The forge has no such thing, or hides it from this token."""


@dataclass(frozen=True)
class Api:
    """`root`: the address that paths are below. `advice`: by HTTP status, what to do about it."""

    forge: str
    root: str
    token: str = field(repr=False)
    header: Mapping[str, str] = field(repr=False)
    advice: Mapping[int, str]

    def get(self, path: str, **query: str) -> Any:
        """The JSON below a path. Raises ForgeRefused, and NotFound for 404."""
        return self._json(self._request("GET", path, params=query), dict)

    def pages(self, path: str, **query: str) -> Iterator[Any]:
        """The entries of a list, page by page, 100 to a page."""
        parameters = {"per_page": "100", **query}
        address = path
        for _ in range(MOST_PAGES):
            response = self._request("GET", address, params=parameters)
            yield from self._json(response, list)
            if following := response.links.get("next", {}).get("url"):
                address, parameters = self._own(following), {}
            elif page := response.headers.get("X-Next-Page"):
                parameters = {**parameters, "page": page}
            else:
                return
        raise ForgeRefused(f"{self.forge}: {path} has more than {MOST_PAGES} pages; nothing was posted")

    def send(self, method: str, path: str, body: Mapping[str, Any]) -> Any:
        """Send JSON; the JSON that comes back."""
        return self._json(self._request(method, path, json=body), dict)

    def download(self, path: str, most_bytes: int) -> bytes:
        """The bytes below a path. A redirect, such as to an object store, is followed once, without the token."""
        response = self._request("GET", path, stream=True, redirected=True)
        content = bytearray()
        for chunk in response.iter_content(1 << 20):
            content += chunk
            if len(content) > most_bytes:
                raise ForgeRefused(f"{self.forge}: {path} has more than {most_bytes:,} bytes")
        return bytes(content)

    def _request(self, method: str, path: str, *, redirected: bool = False, **options: Any) -> requests.Response:
        for attempt in range(ATTEMPTS):
            is_last = attempt == ATTEMPTS - 1
            try:
                response = self._once(method, path, redirected=redirected, **options)
            except requests.RequestException as error:
                may_repeat = method in IDEMPOTENT and isinstance(error, requests.ConnectionError | requests.Timeout)
                if is_last or not may_repeat:
                    raise ForgeRefused(f"{self.forge}: {self.root} does not answer: {type(error).__name__}") from None
                sleep(2**attempt)
                continue
            wait = _limited(response)
            if wait is None and (response.status_code < 500 or method not in IDEMPOTENT):
                break
            if is_last or (wait or 0) > MOST_WAIT:
                break
            sleep(2**attempt if wait is None else wait)
        if response.status_code >= 300:
            raise self._refusal(method, path, response)
        return response

    def _once(self, method: str, path: str, *, redirected: bool, **options: Any) -> requests.Response:
        address = path if path.startswith(self.root) else f"{self.root}/{path}"
        response = requests.request(method, address, headers=self.header, timeout=TIMEOUT, allow_redirects=False, **options)
        if redirected and response.is_redirect:
            return requests.get(response.headers["Location"], timeout=TIMEOUT, allow_redirects=False, stream=True)
        return response

    def _own(self, address: str) -> str:
        """An address that the forge named, which must be its own: the token goes there."""
        given, own = urlsplit(address), urlsplit(self.root)
        if (given.scheme, given.netloc) != (own.scheme, own.netloc) or not address.startswith(f"{self.root}/"):
            raise ForgeRefused(f"{self.forge}: the next page is said to be at {given.netloc}, and not below {self.root}")
        return address

    def _json(self, response: requests.Response, kind: type[dict[str, Any]] | type[list[Any]]) -> Any:
        try:
            content = response.json()
        except requests.JSONDecodeError:
            content = None
        if not isinstance(content, kind):
            raise ForgeRefused(f"{self.forge}: {self.root} does not answer as its API does; is that the address of the API?")
        return content

    def _refusal(self, method: str, path: str, response: requests.Response) -> ForgeRefused:
        status = response.status_code
        if _limited(response) is not None:
            return ForgeRefused(f"{self.forge}: too many requests for this token; run the job again in an hour")
        advice = self.advice.get(status, "the forge fails; run the job again" if status >= 500 else "nothing more was posted")
        message = _message(response).replace(self.token, "***")
        error = NotFound if status == 404 else ForgeRefused
        return error(f"{self.forge}: {method} {path.removeprefix(self.root)}: {status} {message}; {advice}")


def _limited(response: requests.Response) -> float | None:
    """The seconds to wait where a rate limit is why a request was refused."""
    if response.status_code not in (403, 429):
        return None
    after = response.headers.get("Retry-After", "")
    if after.isdigit():
        return float(after)
    if response.headers.get("X-RateLimit-Remaining") == "0":
        reset = response.headers.get("X-RateLimit-Reset", "")
        return max(0.0, float(reset) - time()) if reset.isdigit() else MOST_WAIT + 1
    return float(MOST_WAIT) + 1 if response.status_code == 429 else None


def _message(response: requests.Response) -> str:
    """The forge's message, on one bounded line."""
    try:
        body = response.json()
    except requests.JSONDecodeError:
        return str(response.reason)
    message = body.get("message") or body.get("error") if isinstance(body, dict) else body
    return "".join(c if c.isprintable() else " " for c in str(message))[:200]
