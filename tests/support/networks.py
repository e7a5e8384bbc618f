"""Machines apart from each other: network namespaces on a bridge, each with an address and a host name of its own.

Where this process may not make them (it isn't root, or there is no `ip`), all machines are on the loopback.
"""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

LOOPBACK = "127.0.0.1"
NEEDED = ("ip", "nsenter", "unshare")
NAMED = 'hostname "$0"; exec "$@"'
"""The script that gives a command's own UTS namespace a host name."""


@dataclass(frozen=True)
class Network:
    """Where a machine is. `name` is empty on the loopback."""

    address: str = LOOPBACK
    name: str = ""

    def argv(self, command: Sequence[str]) -> list[str]:
        """The command on this machine; its process is the one that is started."""
        if not self.name:
            return [*command]
        return ["nsenter", f"--net=/run/netns/{self.name}", "unshare", "--uts", "sh", "-c", NAMED, self.name, *command]

    @contextmanager
    def unplugged(self) -> Iterator[None]:
        """Without a link to the others, until the block ends."""
        _ip("link", "set", self.name, "down")
        try:
            yield
        finally:
            _ip("link", "set", self.name, "up")


@contextmanager
def networks(*names: str) -> Iterator[list[Network]]:
    """One for this process, where what the machines share listens, and one for each name."""
    if os.geteuid() != 0 or any(shutil.which(program) is None for program in NEEDED) or not _may_make():
        yield [Network()] * (1 + len(names))
        return
    subnet, bridge = _free_subnet(), f"mlb{os.getpid()}"
    with ExitStack() as stack:
        _ip("link", "add", bridge, "type", "bridge")
        stack.callback(_ip, "link", "del", bridge)
        _ip("address", "add", f"{subnet}.1/24", "dev", bridge)
        _ip("link", "set", bridge, "up")
        made = [Network(f"{subnet}.1")]
        for number, name in enumerate(names, start=2):
            made.append(Network(f"{subnet}.{number}", f"{name}{os.getpid()}"))
            stack.callback(_ip, "netns", "del", made[-1].name)
            _join(made[-1], bridge)
        yield made


def _join(network: Network, bridge: str) -> None:
    """A namespace with one link to the bridge, whose end there has the same name."""
    _ip("netns", "add", network.name)
    _ip("link", "add", network.name, "type", "veth", "peer", "name", "eth0", "netns", network.name)
    _ip("link", "set", network.name, "master", bridge, "up")
    for of_it in (("link", "set", "lo", "up"), ("link", "set", "eth0", "up")):
        _ip("-n", network.name, *of_it)
    _ip("-n", network.name, "address", "add", f"{network.address}/24", "dev", "eth0")


def _may_make() -> bool:
    return (
        subprocess.run(["unshare", "--net", "ip", "link", "add", "type", "veth"], capture_output=True, check=False).returncode
        == 0
    )


def _free_subnet() -> str:
    """The first three numbers of a private network that no interface has."""
    for number in range(os.getpid() % 200, 255):
        with socket.socket() as listener:
            try:
                listener.bind((f"10.213.{number}.1", 0))
            except OSError:
                return f"10.213.{number}"
    raise AssertionError("no private network is free")


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"
