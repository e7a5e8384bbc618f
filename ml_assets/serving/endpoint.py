"""Which bundle answers in this process, and how the next one takes over."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from ml_assets.errors import MlAssetsError
from ml_assets.serving.bundle import Bundle, load
from ml_assets.serving.members import BundleFiles, BundleRefused
from ml_assets.serving.requests import Limits
from resources.pointer import Pointer

ReadPointer = Callable[[], Pointer | None]
OpenBundle = Callable[[str], BundleFiles]


@dataclass(frozen=True)
class Serving:
    """A loaded bundle and the decision that made it answer."""

    bundle: Bundle
    pointer: Pointer
    loaded_seconds: float


class NothingPromoted(MlAssetsError):
    """There is no pointer: no release was ever promoted here."""


class Endpoint:
    """The one reference that requests read (`serving`), and what sets it."""

    def __init__(self, *, product: str, environment: str, pointer: ReadPointer, open_bundle: OpenBundle, limits: Limits) -> None:
        self.product = product
        self.environment = environment
        self.serving: Serving | None = None
        self.is_draining = False
        self.trouble = "no bundle is loaded yet"
        self._pointer = pointer
        self._open_bundle = open_bundle
        self._limits = limits
        self._reloading = Lock()

    @property
    def is_ready(self) -> bool:
        """Whether new traffic should come here."""
        return self.serving is not None and not self.is_draining

    def reload(self) -> bool:
        """Serve what the pointer names; False if it answers already. A refusal leaves all as it was.

        Runs in any thread; requests see the old bundle or the new one, for `serving` is assigned once.
        """
        with self._reloading:
            pointer = self._pointer()
            if pointer is None:
                raise NothingPromoted(f"{self.product}: nothing was promoted to {self.environment} yet")
            if self.serving is not None and self.serving.pointer.bundle == pointer.bundle:
                self.serving = Serving(self.serving.bundle, pointer, self.serving.loaded_seconds)
                return False
            self.serving = self._load(pointer)
            return True

    def _load(self, pointer: Pointer) -> Serving:
        started = time.perf_counter()
        files = self._open_bundle(pointer.bundle)
        bundle = load(files.folder, digests=files.digests, limits=self._limits)
        found = (bundle.card.product, bundle.release)
        if found != (self.product, pointer.release):
            raise BundleRefused(f"{pointer.bundle} holds {found}, the pointer names {(self.product, pointer.release)}")
        return Serving(bundle, pointer, time.perf_counter() - started)
