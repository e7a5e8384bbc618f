"""Which bundle answers in this process, and how the next one takes over."""

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock

import msgspec

from ml_assets.errors import MlAssetsError
from ml_assets.serving.bundle import Bundle, load
from ml_assets.serving.members import BundleFiles, BundleRefused
from ml_assets.serving.requests import Limits
from ml_assets.serving.trial import Trial
from resources.pointer import Pointer

ReadPointer = Callable[[], Pointer | None]
OpenBundle = Callable[[str], BundleFiles]
Earlier = Callable[[], Sequence[Pointer]]


@dataclass(frozen=True)
class Serving:
    """A loaded bundle and the decision that made it answer; `instead_of` says why it is not the one that should."""

    bundle: Bundle
    pointer: Pointer
    loaded_seconds: float
    instead_of: str | None = None


class NothingPromoted(MlAssetsError):
    """There is no pointer: no release was ever promoted here."""


class Endpoint:
    """The one reference that requests read (`serving`), and what sets it. `previous` is the bundle to go back to at once."""

    def __init__(
        self,
        *,
        product: str,
        environment: str,
        pointer: ReadPointer,
        open_bundle: OpenBundle,
        limits: Limits | None = None,
        earlier: Earlier = lambda: (),
        trial: Trial | None = None,
    ) -> None:
        self.product = product
        self.environment = environment
        self.serving: Serving | None = None
        self.previous: Serving | None = None
        self.shadow: Bundle | None = None
        self.shadow_digest = ""
        """Scores beside `serving`, in one thread of its own, and answers nobody."""
        self.shadow_trouble = ""
        self.is_draining = False
        self.trouble = "no bundle is loaded yet"
        self._pointer = pointer
        self._open_bundle = open_bundle
        self._limits = limits or Limits()
        self._earlier = earlier
        self._trial = trial
        self._loading = Lock()

    def reload(self) -> bool:
        """Serve what the pointer names; False if it answers already. A refusal leaves all as it was.

        Runs in any thread; requests see the old bundle or the new one, for `serving` is assigned once.
        """
        with self._loading:
            pointer = self._pointer()
            if pointer is None:
                raise NothingPromoted(f"{self.product}: nothing was promoted to {self.environment} yet")
            now, before = self.serving, self.previous
            self._let_shadow(pointer)
            if now is not None and now.pointer.bundle == pointer.bundle:
                self.serving = Serving(now.bundle, pointer, now.loaded_seconds)
                return False
            if before is not None and before.pointer.bundle == pointer.bundle:
                self.serving = Serving(before.bundle, pointer, before.loaded_seconds)
            else:
                self.serving = self._load(pointer)
            self.previous = now
        gc.collect()  # a bundle that was let go is full of cycles, and the server's collector looks for old ones rarely
        return True

    def fall_back(self) -> bool:
        """After a start with a bundle that is damaged: serve the last one before it whose bytes are whole."""
        with self._loading:
            if self.serving is not None:
                return False
            should = self._pointer_or_none()
            for pointer in self._earlier() if should else ():
                try:
                    found = self._load(pointer)
                except (MlAssetsError, OSError) as error:
                    self.trouble += f"; {pointer.release}: {error}"
                else:
                    self.serving = Serving(found.bundle, pointer, found.loaded_seconds, instead_of=self.trouble)
                    return True
            return False

    def drain(self) -> None:
        """Not ready from now on: the server is stopping."""
        self.is_draining = True

    def close(self) -> None:
        """End the process that tries bundles."""
        if self._trial:
            self._trial.close()

    def _let_shadow(self, pointer: Pointer) -> None:
        """Load what the pointer names as shadow; one that is refused is told, and what answers goes on."""
        wanted, self.shadow_trouble = pointer.shadow, ""
        if wanted is None or (self.shadow is not None and self.shadow.release != wanted.release):
            self.shadow = None
        if wanted is None or self.shadow is not None:
            return
        try:
            self.shadow = self._load(Pointer(**msgspec.structs.asdict(wanted))).bundle
            self.shadow_digest = wanted.bundle
        except (MlAssetsError, OSError) as error:
            self.shadow_trouble = str(error)

    def _pointer_or_none(self) -> Pointer | None:
        try:
            return self._pointer()
        except MlAssetsError:
            return None

    def _load(self, pointer: Pointer) -> Serving:
        started = time.perf_counter()
        files = self._open_bundle(pointer.bundle)
        if self._trial:
            self._trial.load(files, self._limits)
        bundle = load(files.folder, digests=files.digests, limits=self._limits)
        found = (bundle.card.product, bundle.release)
        if found != (self.product, pointer.release):
            raise BundleRefused(f"{pointer.bundle} holds {found}, the pointer names {(self.product, pointer.release)}")
        return Serving(bundle, pointer, time.perf_counter() - started)
