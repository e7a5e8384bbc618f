"""The server that staging tries releases on: one process for all checks of a run, in a home of its own above the same store."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from ml_assets.spec.product import Product
from resources.endpoints import pointer as pointers
from resources.endpoints.pointer import Pointer
from resources.settings import Settings

_kept: "dict[tuple[Path, str], StagingServer] | None" = None
"""The servers that stay for the next run of this process, by home and product; None outside of `kept_servers`."""


@contextmanager
def kept_servers() -> Iterator[None]:
    """Let the servers of the runs inside stay for the runs after them: each run swaps to its release, as production does, instead
    of starting Python again, which takes ten times as long as trying a release."""
    global _kept
    outside, _kept = _kept, {} if _kept is None else _kept
    try:
        yield
    finally:
        inside, _kept = _kept, outside
        if outside is None:
            for server in inside.values():
                server.stop()


@contextmanager
def staging_server(settings: Settings, product: Product) -> "Iterator[StagingServer]":
    """The server of a run's checks: stopped at the end, or kept for the next run. A kept one that isn't ready is replaced."""
    if _kept is None:
        with StagingServer(settings, product) as server:
            yield server
        return
    server = _kept.setdefault((settings.home, product.name), StagingServer(settings, product))
    server.stop_unless_ready()
    yield server


class StagingServer:
    """Serves any release, whichever serves in the real home, where nothing moves. The process starts on first use."""

    def __init__(self, settings: Settings, product: Product) -> None:
        """Remember what to serve; start nothing."""
        self.base_url = ""
        self._settings = settings
        self._product = product
        self._open = ExitStack()
        self._pointer = Path()

    def __enter__(self) -> Self:
        """Return the server itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop the process, if one was started."""
        self.stop()

    def stop(self) -> None:
        """Stop the process, if one was started; the next use starts another one."""
        self.base_url = ""
        self._open.close()

    def stop_unless_ready(self) -> None:
        """Stop a process that has ended, or that doesn't answer: its trouble isn't that of the next release."""
        from ml_assets.serving.client import http_client as client

        if self.base_url:
            try:
                client.ready(self.base_url)
            except client.EndpointError:
                self.stop()

    def serve(self, pointer: Pointer) -> None:
        """Start with this release, or swap to it. Raises EndpointError or ServerDied where it cannot be served."""
        from ml_assets.serving.client import http_client as client

        if self.base_url:
            pointers.write(self._pointer, pointer)
            client.reload(self.base_url, key="")
        else:
            self._start(pointer)

    def _start(self, pointer: Pointer) -> None:
        from ml_assets.serving.client.server_process import ServerProcess

        real = self._settings
        home = Path(self._open.enter_context(tempfile.TemporaryDirectory(prefix="ml-assets-staging-")))
        (real.home / "cache").mkdir(parents=True, exist_ok=True)
        (home / "cache").symlink_to(real.home / "cache")  # a remote store's bundles are not downloaded again
        own = replace(real, home=home, ledger=f"sqlite:///{home / 'ledger.db'}", keys="", key="")
        self._pointer = own.pointer(self._product.name, "staging")
        pointers.write(self._pointer, pointer)
        argv = [sys.executable, "-m", "ml_assets", "serve", self._product.name, "-e", "staging", "--pointer", str(self._pointer)]
        self.base_url = self._open.enter_context(ServerProcess(argv, environ=own.environ())).base_url
