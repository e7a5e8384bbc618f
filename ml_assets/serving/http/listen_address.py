"""The address that a server listens on, and the ready file that says so."""

import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from ml_assets.errors import MlAssetsError


class PortTaken(MlAssetsError):
    """Another process listens on the port."""


@dataclass(frozen=True)
class ListenAddress:
    """The address of one process, port 0 for any free one; it writes `ready_file` once it serves.

    One of several workers shares the port, and has a listener of its own (`own`) for requests of the others.
    """

    host: str
    port: int
    ready_file: Path | None = None
    own: socket.socket | None = None

    def listeners(self) -> list[socket.socket]:
        """Bind and return the sockets to serve on, the port's first. Raises PortTaken."""
        listener = listen(self.host, self.port, is_shared=self.own is not None)
        return [listener] if self.own is None else [listener, self.own]


def listen(host: str, port: int, *, is_shared: bool = False) -> socket.socket:
    """Bind a socket to the port, 0 for any free one; `is_shared` lets other processes of this user share it. Raises PortTaken.

    The kernel gives it connections once its `listen` is called, as the server does when its model is loaded.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if is_shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise PortTaken(f"{host}:{port}: {error.strerror}; stop what listens there or choose another port") from error
    return listener


def announce(ready_file: Path, listener: socket.socket) -> None:
    """Write this process's id and the listener's URL, whole or not at all."""
    temporary = ready_file.with_name(f"{ready_file.name}.{os.getpid()}")
    temporary.write_text(json.dumps({"pid": os.getpid(), "url": url_of(listener)}))
    temporary.replace(ready_file)


def url_of(listener: socket.socket) -> str:
    """Return the base URL of a bound socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
