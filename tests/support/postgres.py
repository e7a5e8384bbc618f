"""A real PostgreSQL from Debian's package, in a temporary folder, reached through a socket there, or at an address too."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

INSTALL = "apt-get install --no-install-recommends postgresql"
SECONDS_TO_START = 60
OPTIONS = ("fsync=off",)


def binaries() -> Path:
    """Where initdb and postgres are."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not programs:
        pytest.fail(f"PostgreSQL is not installed: `{INSTALL}`")
    return programs[-1].parent


class Postgres:
    """A server in a folder of its own, which can be stopped and started again."""

    def __init__(self, folder: Path, *, connections: int = 40, address: str = "") -> None:
        self.folder, self.connections, self.address = folder, connections, address
        self._user = "postgres" if os.getuid() == 0 else None  # PostgreSQL refuses to run as root
        if self._user:
            shutil.chown(folder, self._user, self._user)
        folder.chmod(0o755)
        initdb = [binaries() / "initdb", "-D", folder / "data", "-U", "postgres", "-E", "UTF8", "--data-checksums", "--no-sync"]
        # a language whose order is not that of bytes
        language = ["--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US"]
        subprocess.run([*initdb, *language], user=self._user, cwd=folder, check=True, capture_output=True)
        if address:
            with (folder / "data" / "pg_hba.conf").open("a") as file:
                file.write("host all all samenet trust\n")

    def start(self) -> None:
        chosen = (*OPTIONS, f"max_connections={self.connections}", f"listen_addresses={self.address}")
        options = [part for option in chosen for part in ("-c", option)]
        with (self.folder / "log").open("ab") as log:
            command = [binaries() / "postgres", "-D", self.folder / "data", "-k", self.folder, *options]
            self._process = subprocess.Popen(command, user=self._user, cwd=self.folder, stdout=log, stderr=log)
        _wait(self.folder, self._process)

    def kill(self) -> None:
        """End it at once, with all its connections."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(timeout=20)

    def new_database(self, name: str) -> str:
        """Make a database; its URL: by the address, where the server listens at one."""
        url = new_database(str(self.folder), name)
        return f"postgresql://postgres@{self.address}/{name}" if self.address else url

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def postgres_server(*, connections: int = 40, address: str = "") -> Iterator[Postgres]:
    """A server of its own, started."""
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    server = Postgres(folder, connections=connections, address=address)
    server.start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


@contextmanager
def postgres(*, connections: int = 40) -> Iterator[str]:
    """A server of its own, for so many connections; yields the folder of its socket."""
    with postgres_server(connections=connections) as server:
        yield str(server.folder)


def _wait(folder: Path, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while True:
        try:
            psycopg.connect(f"host={folder} user=postgres dbname=postgres").close()
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise AssertionError((folder / "log").read_text()) from None
            time.sleep(0.1)
        else:
            return


def new_database(folder: str, name: str) -> str:
    """Make a database; its URL."""
    with psycopg.connect(f"host={folder} user=postgres dbname=postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return f"postgresql://postgres@/{name}?host={folder}"
