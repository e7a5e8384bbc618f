"""The login that a proxy sends with a request. It counts only with the proxy's secret, and from this machine: whoever else can
reach the webserver could send the same header."""

import hmac
import re
from collections.abc import Callable
from ipaddress import ip_address

from ml_assets.errors import MlAssetsError
from ml_assets.spec.people import NAME

SECRET_HEADER = "X-Ml-Assets-Proxy"


class LoginRefused(MlAssetsError):
    """A request claims a login, and does not come from the proxy."""


def login(header: Callable[[str], str | None], address: str | None, *, name: str, secret: str) -> str:
    """The person whom the proxy let in; empty where a request claims nobody, or no proxy's secret is set. `header` gives a header
    of the request, `address` is where it came from (None: a Unix socket), `name` the header of the login. Raises LoginRefused."""
    person, shown = header(name), header(SECRET_HEADER)
    if not secret or (not person and not shown):
        return ""
    claim = f"a request from {address or 'a Unix socket'} says in {name} that it is {person!r}"
    if address is not None and not _is_loopback(address):
        raise LoginRefused(f"{claim}; logins are taken from a proxy on this machine alone: log in there")
    if not hmac.compare_digest((shown or "").encode(), secret.encode()):
        what = "a wrong secret" if shown else "no secret"
        raise LoginRefused(
            f"{claim}, with {what} of a proxy; log in at the proxy, which has to send ML_ASSETS_PROXY_SECRET in {SECRET_HEADER}"
        )
    if person and not re.fullmatch(NAME, person):
        raise LoginRefused(f"{claim}; a name has letters, digits and _.@+-, at most 64 of them: have the proxy send such a one")
    return person or ""


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
