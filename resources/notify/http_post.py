"""One POST of JSON to a receiver whose address may be a secret: errors name the host alone."""

import http.client
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from resources.http.no_redirects import open_without_redirects
from resources.notify.channel import SECONDS, Undelivered

SHOWN_BYTES = 200


def post(url: str, payload: Mapping[str, Any], *, headers: Mapping[str, str]) -> None:
    """Send the payload; returns once the receiver has said 2xx. Redirects are not followed. Raises Undelivered."""
    host, body = urlsplit(url).hostname, json.dumps(payload).encode()
    request = urllib.request.Request(url, data=body, headers={"content-type": "application/json", **headers}, method="POST")
    try:
        with open_without_redirects(request, seconds=SECONDS):
            return
    except urllib.error.HTTPError as error:
        raise Undelivered(f"{host} answered {error.code}{_detail(error)}; {_advice(error.code)}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: its text may be that of a header
        raise Undelivered(f"{host}: {_cause(error)}; see whether it is up, then `ml-assets notify --test`") from None


def _detail(error: urllib.error.HTTPError) -> str:
    """The receiver's message, on one bounded line."""
    try:
        with error:
            answer = error.read(SHOWN_BYTES).decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return ", and no more"
    line = "".join(c if c.isprintable() else " " for c in answer).strip()
    return f" ({line})" if line else ""


def _advice(status: int) -> str:
    if status == 429 or status >= 500:
        return "try again later"
    if 300 <= status < 400:
        return "it redirects: give the address that it redirects to in notify.yaml"
    return "check the address and the token in notify.yaml, then `ml-assets notify --test`"


def _cause(error: Exception) -> str:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    match reason:
        case TimeoutError():
            return f"no answer within {SECONDS:.0f} s"
        case ssl.SSLCertVerificationError():
            return f"its certificate is refused: {reason.verify_message}"
        case OSError():
            return reason.strerror or type(reason).__name__
    return type(reason).__name__
