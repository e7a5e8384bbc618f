"""Which bundle answers in this process, and how the next one takes over."""

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from threading import Lock

import msgspec

from ml_assets.errors import MlAssetsError
from ml_assets.serving.release.bundle import Bundle, load
from ml_assets.serving.release.bundle_files import BundleFiles, BundleRefused
from ml_assets.serving.release.loaded import Beside, Serving, key_fields
from ml_assets.serving.release.trial_process import Trial
from ml_assets.serving.requests.parser import Limits
from resources.endpoints.pointer import Pointer

ReadPointer = Callable[[], Pointer | None]
OpenBundle = Callable[[str], BundleFiles]
Earlier = Callable[[], Sequence[Pointer]]


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
        is_compiled: bool = True,
    ) -> None:
        self.product = product
        self.environment = environment
        self.serving: Serving | None = None
        self.previous: Serving | None = None
        self.shadow_trouble = ""
        """Why what should stand beside `serving` does not."""
        self.is_draining = False
        self.trouble = "no bundle is loaded yet"
        self._pointer = pointer
        self._open_bundle = open_bundle
        self._limits = limits or Limits()
        self._earlier = earlier
        self._trial = trial
        self._is_compiled = is_compiled
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
            known = next((each for each in (now, before) if each and each.pointer.bundle == pointer.bundle), None)
            found = replace(known, pointer=pointer, instead_of=None) if known else self._load(pointer)
            is_swapped = known is None or known is not now
            self.serving = replace(found, beside=now.beside if now and _stays(now.beside, pointer) else None)
            if is_swapped:
                self.previous = replace(now, beside=None) if now else None
            champion = self.serving
        self._load_beside(champion)
        if not is_swapped:
            return False
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

    def keep_previous(self) -> None:
        """After a start: have in memory what a rollback would go back to, as after a swap."""
        with self._loading:
            now = self.serving
            if now is None or now.instead_of or self.previous is not None or self.is_draining:
                return
            for pointer in self._earlier()[:1]:
                self.previous = self._load(pointer)

    def drain(self) -> None:
        """Not ready from now on: the server is stopping."""
        self.is_draining = True

    def close(self) -> None:
        """End the process that tries bundles."""
        if self._trial:
            self._trial.close()

    def _load_beside(self, champion: Serving) -> None:
        """Load what the pointer names as shadow, once what answers is there; that goes on alone when it is refused.

        A rollback meanwhile does not wait for it: what was loaded for a champion that answers no more is let go.
        """
        wanted = champion.pointer.shadow
        if wanted is None or champion.beside is not None:
            self.shadow_trouble = ""
            return
        told = {name: value for name, value in msgspec.structs.asdict(wanted).items() if name != "share"}
        beside, trouble = None, ""
        try:
            candidate = self._load(Pointer(**told))
            both = {wanted.bundle, champion.pointer.bundle}
            scorers = {digest: self._copy(digest) for digest in both} if wanted.share else {wanted.bundle: candidate.bundle}
            asked = key_fields(champion.bundle, candidate.bundle)
            beside = Beside(wanted.bundle, wanted.share, candidate if wanted.share else None, scorers, asked)
        except (MlAssetsError, OSError) as error:
            trouble = str(error)
        with self._loading:
            if self.serving is champion:
                self.serving, self.shadow_trouble = replace(champion, beside=beside), trouble

    def _copy(self, digest: str) -> Bundle:
        """Another copy of a bundle that was tried, for another thread."""
        return self._loaded(self._open_bundle(digest))

    def _loaded(self, files: BundleFiles) -> Bundle:
        return load(files.folder, digests=files.digests, limits=self._limits, is_compiled=self._is_compiled)

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
        bundle = self._loaded(files)
        found = (bundle.card.product, bundle.release)
        if found != (self.product, pointer.release):
            raise BundleRefused(f"{pointer.bundle} holds {found}, the pointer names {(self.product, pointer.release)}")
        return Serving(bundle, pointer, time.perf_counter() - started)


def _stays(beside: Beside | None, pointer: Pointer) -> bool:
    """Whether what stands beside what answers is what the pointer names, beside the same champion."""
    wanted = pointer.shadow
    if beside is None or wanted is None or (beside.digest, beside.share) != (wanted.bundle, wanted.share):
        return False
    return not wanted.share or pointer.bundle in beside.scorers
