"""A real PostgreSQL from Debian's package, in a temporary folder, reached through a socket there alone."""

import os
import shutil
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
OPTIONS = ("listen_addresses=", "fsync=off")


def binaries() -> Path:
    """Where initdb and postgres are."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not programs:
        pytest.fail(f"PostgreSQL is not installed: `{INSTALL}`")
    return programs[-1].parent


@contextmanager
def postgres(*, connections: int = 40) -> Iterator[str]:
    """A server of its own, for so many connections; yields the folder of its socket."""
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    user = "postgres" if os.getuid() == 0 else None  # PostgreSQL refuses to run as root
    if user:
        shutil.chown(folder, user, user)
    folder.chmod(0o755)
    initdb = [binaries() / "initdb", "-D", folder / "data", "-U", "postgres", "-E", "UTF8", "--data-checksums", "--no-sync"]
    # a language whose order is not that of bytes
    language = ["--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US"]
    subprocess.run([*initdb, *language], user=user, cwd=folder, check=True, capture_output=True)
    options = [part for option in (*OPTIONS, f"max_connections={connections}") for part in ("-c", option)]
    with (folder / "log").open("wb") as log:
        command = [binaries() / "postgres", "-D", folder / "data", "-k", folder, *options]
        server = subprocess.Popen(command, user=user, cwd=folder, stdout=log, stderr=log)
    try:
        _wait(folder, server)
        yield str(folder)
    finally:
        server.terminate()
        try:
            server.wait(timeout=20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        shutil.rmtree(folder)


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
