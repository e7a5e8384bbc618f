"""A part: one process of a deployment, where it listens, and how to see that it works."""

import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ml_assets.errors import MlAssetsError

PROBE_SECONDS = 2.0
"""How long a part may take to say that it works."""


class PortsTaken(MlAssetsError):
    """Another process listens where a part wants to."""


@dataclass(frozen=True)
class Address:
    """The address of a part; `option` says where its port is set."""

    host: str
    port: int
    option: str

    @property
    def url(self) -> str:
        """The address as an http URL."""
        return f"http://{self.host}:{self.port}"

    def problem(self, name: str) -> str | None:
        """The reason why nothing can listen there; None if something can."""
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.host, self.port))
            except OSError as error:
                reason = error.strerror or str(error)
                return f"port {self.port} on {self.host} for {name}: {reason}; choose another with {self.option}"
        return None


@dataclass(frozen=True)
class Part:
    """`works` says whether the process that was started at a time (seconds since 1970) does its work. `needs` is a file without
    which it is not started yet. `outlived`: processes that it started go on where it ends by itself, such as runs of the daemon.
    `finishes`: told to end by SIGTERM, it ends its work first, such as the runs of a worker. `environ` is for it alone."""

    name: str
    argv: tuple[str, ...]
    works: Callable[[float], bool]
    address: Address | None = None
    needs: Path | None = None
    outlived: bool = False
    finishes: bool = False
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def kind(self) -> str:
        """The name without the product: `endpoint` of `endpoint:flights`."""
        return self.name.partition(":")[0]

    @property
    def product(self) -> str:
        """The product whose endpoint it is."""
        return self.name.partition(":")[2]

    @property
    def place(self) -> str:
        """The URL at which people find it; its name if it doesn't listen."""
        return self.address.url if self.address else self.name

    @property
    def log(self) -> str:
        """The name of the log file."""
        return f"{self.name.replace(':', '-')}.log"

    @property
    def may_start(self) -> bool:
        """Whether the file that the part needs is there."""
        return self.needs is None or self.needs.is_file()


def responds(url: str) -> Callable[[float], bool]:
    """Whether a GET of the address gives 200."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # those of the environment are for other hosts

    def works(since: float) -> bool:
        try:
            with opener.open(url, timeout=PROBE_SECONDS) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    return works


def refuse_taken_ports(parts: Sequence[tuple[str, Address]]) -> None:
    """Raise PortsTaken that names every port which cannot be listened on, by the names of what wants to."""
    taken = [problem for name, address in parts if (problem := address.problem(name))]
    by_port: dict[int, list[tuple[str, Address]]] = {}
    for name, address in parts:
        by_port.setdefault(address.port, []).append((name, address))
    for port, claimed in by_port.items():
        if len(claimed) > 1:
            names, options = " and ".join(name for name, _ in claimed), " or ".join(address.option for _, address in claimed)
            taken.append(f"port {port} is given twice, to {names}; choose another with {options}")
    if taken:
        raise PortsTaken("; ".join(taken))
