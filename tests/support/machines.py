"""Machines with homes of their own that share a ledger, a store and deliveries."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from ml_assets.cli.shared.workspace import Workspace
from ml_assets.serving.client import http_client as client
from ml_assets.serving.client.server_process import ServerProcess
from resources.settings import settings
from resources.store.blobs import LocalBlobs
from resources.store.places import name_store, store_id
from resources.store.remote_blobs import open_blobs
from tests.support.command_line import Days, free_port
from tests.support.networks import Network
from tests.support.object_store import S3
from tests.support.postgres import Postgres
from tests.support.supervision import health

BUCKET = "machines"


@dataclass
class Machine:
    """A home of its own, with what all machines share, a server, and parts that `ml-assets up` keeps alive."""

    name: str
    environ: dict[str, str]
    network: Network = field(default_factory=Network)
    code: Path | None = None
    """A checkout of its own, for what is started from now on."""
    server: ServerProcess | None = None
    open: ExitStack = field(default_factory=ExitStack)
    parts: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    health_ports: dict[str, int] = field(default_factory=dict)

    @property
    def space(self) -> Workspace:
        return Workspace(settings(self.environ))

    @property
    def url(self) -> str:
        assert self.server
        return self.server.base_url

    def argv(self, *args: str) -> list[str]:
        """A command of ours on this machine. One with a network or code of its own is forked from no process of another one."""
        python = str(Path(sys.prefix) / "bin" / "python") if self.network.name or self.code else sys.executable
        place = ["env", f"--chdir={self.code}", f"PYTHONPATH={self.code}"] if self.code else []
        return self.network.argv([*place, python, "-m", "ml_assets", *args])

    def serve(self) -> None:
        argv = self.argv("serve", "flights", "--host", self.network.address)
        self.server = self.open.enter_context(ServerProcess(argv, environ=self.environ))

    def kill_server(self) -> None:
        assert self.server
        self.server.process.kill()
        self.open.close()

    def ml_assets(self, *args: str, **environ: str) -> subprocess.CompletedProcess[str]:
        environ = {**self.environ, **environ}
        return subprocess.run(self.argv(*args), env=environ, capture_output=True, text=True, timeout=900, check=False)

    def up(self, part: str) -> None:
        """Start a part of the home, and what keeps it alive."""
        self.health_ports[part] = free_port()
        options = ("--host", self.network.address, "--health-port", str(self.health_ports[part]))
        with self.log(part).open("ab") as log:
            argv = self.argv("up", "--only", part, *options)
            self.parts[part] = subprocess.Popen(argv, env=self.environ, stdout=log, stderr=log, start_new_session=True)

    def log(self, part: str) -> Path:
        """What a part printed."""
        return Path(self.environ["ML_ASSETS_HOME"]).parent / f"{part}-{self.name}.log"

    def kill_part(self, part: str) -> None:
        """SIGKILL to the part itself; what keeps it alive starts it again."""
        states = health(self.health_ports[part], address=self.network.address)["parts"]
        (pid,) = [state["pid"] for state in states if state["name"] == part]
        os.kill(pid, signal.SIGKILL)

    def kill_everything(self) -> None:
        """SIGKILL to every process of the home, as when the machine loses power."""
        home = self.environ["ML_ASSETS_HOME"]
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("ML_ASSETS_HOME") == home:
                    process.kill()
        for process in self.parts.values():
            process.wait()
        self.open.close()

    def end_part(self, part: str) -> None:
        """SIGTERM to what keeps the part alive: a worker lets its runs end first. Waits for that."""
        self.parts[part].terminate()
        self.parts.pop(part).wait(timeout=300)

    def stop(self) -> None:
        self.open.close()
        for _ in range(2):  # the second one ends runs that are under way, too
            for process in self.parts.values():
                process.terminate()
            time.sleep(1)
        for process in self.parts.values():
            process.wait(timeout=120)

    def done(self, *args: str) -> str:
        done = self.ml_assets(*args)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def release(self) -> str:
        return str(client.release(self.url)["release"])


@contextmanager
def on_s3(store: S3, folder: Path, cache: Path) -> Iterator[dict[str, str]]:
    """The store and the deliveries of a folder, copied to a bucket, as settings."""
    from s3fs import S3FileSystem

    with pytest.MonkeyPatch.context() as patch:
        for name, value in store.environ.items():
            patch.setenv(name, value)
        S3FileSystem.clear_instance_cache()
        store.make_bucket(BUCKET)
        url = f"s3://{BUCKET}/store"
        there, here = open_blobs(url, cache=cache), LocalBlobs(folder / "store")
        there.put_all([here.path(digest).read_bytes() for digest in here.digests()])
        id = store_id(here)
        assert id
        name_store(there, id)
        for file in (folder / "landing").rglob("*.*"):
            store.direct("PUT", f"/{BUCKET}/{file.relative_to(folder)}", file.read_bytes())
        yield {"ML_ASSETS_STORE": url, "ML_ASSETS_LANDING": f"s3://{BUCKET}/landing", **store.environ}


def on_folder(folder: Path) -> dict[str, str]:
    """The store and the deliveries in a folder that all machines mount, as settings."""
    return {"ML_ASSETS_STORE": (folder / "store").as_uri(), "ML_ASSETS_LANDING": str(folder / "landing")}


@contextmanager
def two_machines(
    days: Days, folder: Path, database: Postgres, store: S3 | None = None, networks: Sequence[Network] = (Network(), Network())
) -> Iterator[tuple[Machine, Machine]]:
    """The machine of a home whose ledger moves to PostgreSQL, and a new one beside it; without `store` on a shared folder."""
    shared = folder / "shared"
    shared.mkdir()
    for name in ("store", "landing"):
        (days.home / name).rename(shared / name)
    (days.home / "belongs.json").unlink(missing_ok=True)
    with on_s3(store, shared, folder / "cache") if store else nullcontext(on_folder(shared)) as places:
        url = database.new_database("ledger")
        before = Machine("before", {**days.environ, **places})
        assert "entries" in before.done("ledger", "move", url)
        places["ML_ASSETS_LEDGER"] = url
        a = Machine("a", {**days.environ, **places}, networks[0])
        b = Machine("b", {**days.environ, **places, "ML_ASSETS_HOME": str(folder / "b" / "home")}, networks[1])
        try:
            yield a, b
        finally:
            for machine in (a, b):
                machine.stop()


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
