"""HTTP with the standard library that follows no redirect: it would hand a token or a message to another host."""

import http.client
import urllib.request
from typing import Any


def open_without_redirects(request: urllib.request.Request, *, seconds: float) -> http.client.HTTPResponse:
    """Send the request; a redirect is an HTTPError, as any status but 2xx is."""
    response: http.client.HTTPResponse = urllib.request.build_opener(_NoRedirects).open(request, timeout=seconds)
    return response


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> None:
        return None
