"""Machines with homes of their own that share a ledger, a store and a landing folder."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ml_assets.cli.shared.workspace import Workspace
from ml_assets.serving.client import http_client as client
from ml_assets.serving.client.server_process import ServerProcess
from resources.settings import settings
from resources.store.blobs import LocalBlobs
from resources.store.places import name_store, store_id
from resources.store.remote_blobs import open_blobs
from tests.support.command_line import Days
from tests.support.object_store import object_store
from tests.support.postgres import new_database


@dataclass
class Machine:
    """A home of its own, with what all machines share, and a server."""

    name: str
    environ: dict[str, str]
    server: ServerProcess | None = None
    open: ExitStack = field(default_factory=ExitStack)

    @property
    def space(self) -> Workspace:
        return Workspace(settings(self.environ))

    @property
    def url(self) -> str:
        assert self.server
        return self.server.base_url

    def serve(self) -> None:
        argv = [sys.executable, "-m", "ml_assets", "serve", "flights"]
        self.server = self.open.enter_context(ServerProcess(argv, environ=self.environ))

    def ml_assets(self, *args: str, **environ: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "ml_assets", *args]
        return subprocess.run(command, env={**self.environ, **environ}, capture_output=True, text=True, timeout=900, check=False)

    def done(self, *args: str) -> str:
        done = self.ml_assets(*args)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def release(self) -> str:
        return str(client.release(self.url)["release"])


@contextmanager
def shared_store(kind: str, folder: Path, cache: Path) -> Iterator[dict[str, str]]:
    """The store in a folder that all mount, or its copy in a bucket, as settings."""
    if kind == "folder":
        yield {"ML_ASSETS_STORE": folder.as_uri()}
        return
    with object_store() as s3, pytest.MonkeyPatch.context() as patch:
        for name, value in s3.environ.items():
            patch.setenv(name, value)
        s3.make_bucket("machines")
        url = "s3://machines/store"
        there, here = open_blobs(url, cache=cache), LocalBlobs(folder)
        there.put_all([here.path(digest).read_bytes() for digest in here.digests()])
        id = store_id(here)
        assert id
        name_store(there, id)
        yield {"ML_ASSETS_STORE": url, **s3.environ}


@contextmanager
def two_machines(days: Days, folder: Path, database: str, kind: str) -> Iterator[tuple[Machine, Machine]]:
    """The machine of a home whose ledger moves to the PostgreSQL in the folder `database`, and a new one beside it."""
    shared = folder / "shared"
    shared.mkdir()
    for name in ("store", "landing"):
        (days.home / name).rename(shared / name)
    (days.home / "belongs.json").unlink(missing_ok=True)
    with shared_store(kind, shared / "store", folder / "cache") as places:
        url = new_database(database, "ledger")
        places["ML_ASSETS_LANDING"] = str(shared / "landing")
        before = Machine("before", {**days.environ, **places})
        assert "entries" in before.done("ledger", "move", url)
        places["ML_ASSETS_LEDGER"] = url
        a = Machine("a", {**days.environ, **places})
        b = Machine("b", {**days.environ, **places, "ML_ASSETS_HOME": str(folder / "b" / "home")})
        with a.open, b.open:
            yield a, b


def golden(machine: Machine, release: str) -> dict[str, Any]:
    """The golden requests and scores of a release."""
    space = machine.space
    manifest = space.ledger.release_named(release)
    assert manifest
    content: dict[str, Any] = json.loads(space.snapshots.read(manifest.snapshot, "golden.json"))
    space.ledger.close()
    return content


def predicted(machine: Machine, golden: dict[str, Any]) -> str:
    """The release that scores the golden requests as it was recorded."""
    answer = client.predict(machine.url, golden["requests"])
    assert [one["probability"] for one in answer["predictions"]] == golden["scores"]
    return str(answer["release"])
