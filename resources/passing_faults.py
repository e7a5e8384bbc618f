"""Faults that pass: a store, a database or a registry that is away, busy or locked for a while. What they have in common is that
the same work again, a little later, may succeed. A full disk, a wrong password or damaged bytes are none.
"""

import errno
import socket
from collections.abc import Iterator

from sqlalchemy.exc import DBAPIError

from ml_assets.errors import MlAssetsError, PassingFault

_ERRNOS = {
    *(errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH),
    *(errno.ENETDOWN, errno.EPIPE, errno.EAGAIN, errno.EBUSY, errno.ESTALE),
}
_STATUSES = {408, 429, 500, 502, 503, 504}
"""Of HTTP: busy, or not well at the moment."""
_SQLITE = ("database is locked", "database table is locked")
_SQLSTATES = ("08", "53", "57P", "40001", "40P01", "55P03")
"""PostgreSQL's: no connection, no room for another one, shutting down or starting, lost a race, locked. Without any the server
was never reached."""
_NETWORK = {"aiohttp": "ClientConnectionError", "botocore": "HTTPClientError", "requests": "ConnectionError"}
"""The error of each library that says that a server was not reached, or went away; others are made from it."""
_REGISTRY = ("TEMPORARILY_UNAVAILABLE", "INTERNAL_ERROR", "RESOURCE_EXHAUSTED", "REQUEST_LIMIT_EXCEEDED")
"""MLflow's codes where its database or its server is away or busy."""


def passing_fault(error: BaseException) -> str:
    """The fault that will pass, in words, of an error or of its cause; empty where nothing says that it does. An error that
    our own code worded passes only where it says so by its class: any other names the culprit and what a person does."""
    if isinstance(error, PassingFault):
        return _first_line(error)
    if isinstance(error, MlAssetsError):
        return ""
    return next((f"{type(link).__name__}: {_first_line(link)}" for link in _chain(error) if _passes(link)), "")


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__


def _first_line(error: BaseException) -> str:
    words = str(error.orig if isinstance(error, DBAPIError) and error.orig else error).strip()
    return words.splitlines()[0] if words else "no message"


def _passes(error: BaseException) -> bool:
    if isinstance(error, DBAPIError):
        return _database_passes(error)
    if isinstance(error, ConnectionError | TimeoutError | socket.gaierror) or _is_of_network(error):
        return True
    if isinstance(error, OSError) and error.errno in _ERRNOS:
        return True
    if type(error).__module__.startswith("mlflow"):
        return getattr(error, "error_code", "") in _REGISTRY
    return any(getattr(error, name, None) in _STATUSES for name in ("status", "status_code", "code"))


def _database_passes(error: DBAPIError) -> bool:
    if error.connection_invalidated:
        return True
    if type(error.orig).__module__.startswith("sqlite3"):
        return any(words in str(error.orig) for words in _SQLITE)
    state = getattr(error.orig, "sqlstate", None)
    if state is None:
        return type(error.orig).__name__ == "OperationalError"
    return str(state).startswith(_SQLSTATES) and state != "53100"  # a full disk


def _is_of_network(error: BaseException) -> bool:
    names = {(cls.__module__.partition(".")[0], cls.__name__) for cls in type(error).__mro__}
    return any((package, name) in names for package, name in _NETWORK.items())
