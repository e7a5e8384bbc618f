"""The release that serves in this process, and how the next one replaces it."""

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from threading import Lock

import msgspec

from ml_assets.errors import MlAssetsError
from ml_assets.serving.release.bundle import Bundle, load
from ml_assets.serving.release.bundle_files import BundleFiles, BundleRefused
from ml_assets.serving.release.loaded_releases import Candidate, Serving, key_attributes
from ml_assets.serving.release.trial_process import TrialProcess
from ml_assets.serving.requests.parser import Limits
from resources.endpoints.pointer import Pointer

ReadPointer = Callable[[], Pointer | None]
OpenBundle = Callable[[str], BundleFiles]
Earlier = Callable[[], Sequence[Pointer]]


class NothingPromoted(MlAssetsError):
    """No release was promoted here yet, so there is no pointer."""


class Endpoint:
    """Holds the one reference that requests read, `serving`, and swaps it. `previous` is the bundle to go back to at once."""

    def __init__(
        self,
        *,
        product: str,
        environment: str,
        pointer: ReadPointer,
        open_bundle: OpenBundle,
        limits: Limits | None = None,
        earlier: Earlier = lambda: (),
        trial: TrialProcess | None = None,
        is_compiled: bool = True,
    ) -> None:
        """Begin without a bundle. `earlier` returns the pointers of releases that served before."""
        self.product = product
        self.environment = environment
        self.serving: Serving | None = None
        self.previous: Serving | None = None
        self.shadow_trouble = ""
        """The reason why the candidate that the pointer names isn't loaded."""
        self.refusal = ""
        """The reason why the release that the pointer named last doesn't serve."""
        self.named: Pointer | None = None
        """The release that the pointer named when it last took effect."""
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
        """Serve the release that the pointer names. Return False if it serves already. A refusal leaves all as it was.

        Runs in any thread; requests see the old bundle or the new one, as `serving` is assigned once. Raises NothingPromoted and
        BundleRefused.
        """
        with self._loading:
            pointer = self._pointer()
            if pointer is None:
                raise NothingPromoted(f"{self.product}: nothing was promoted to {self.environment} yet")
            now, before = self.serving, self.previous
            known = next((one for one in (now, before) if one and one.pointer.bundle == pointer.bundle), None)
            following = replace(known, pointer=pointer, instead_of=None) if known else self._load(pointer)
            is_swapped = known is None or known is not now
            self.serving = replace(following, candidate=now.candidate if now and _stays(now.candidate, pointer) else None)
            if is_swapped:
                self.previous = replace(now, candidate=None) if now else None
            champion, self.named = self.serving, pointer
        self._load_candidate(champion)
        if not is_swapped:
            return False
        gc.collect()  # a released bundle is full of cycles, and the server's collector rarely looks for old ones
        return True

    def fall_back(self) -> bool:
        """After a start with a damaged bundle: serve the last release before it that is whole. Return whether there is one."""
        with self._loading:
            if self.serving is not None:
                return False
            for pointer in self._earlier() if self._pointer_or_none() else ():
                try:
                    earlier = self._load(pointer)
                except (MlAssetsError, OSError) as error:
                    self.trouble += f"; {pointer.release}: {error}"
                else:
                    self.serving = Serving(earlier.bundle, pointer, earlier.loaded_seconds, instead_of=self.trouble)
                    return True
            return False

    def keep_previous(self) -> None:
        """After a start: load the release that a rollback would go back to, as after a swap."""
        with self._loading:
            now = self.serving
            if now is None or now.instead_of or self.previous is not None or self.is_draining:
                return
            for pointer in self._earlier()[:1]:
                self.previous = self._load(pointer)

    def drain(self) -> None:
        """Drop readiness: the server is stopping."""
        self.is_draining = True

    def close(self) -> None:
        """End the process that tries bundles."""
        if self._trial:
            self._trial.close()

    def _load_candidate(self, champion: Serving) -> None:
        """Load the candidate that the pointer names, once the champion serves; if it is refused the champion serves alone.

        A rollback doesn't wait for this: a candidate that was loaded for a champion that no longer serves is dropped.
        """
        wanted = champion.pointer.shadow
        if wanted is None or champion.candidate is not None:
            self.shadow_trouble = ""
            return
        pointer = Pointer(**{name: value for name, value in msgspec.structs.asdict(wanted).items() if name != "share"})
        candidate, trouble = None, ""
        try:
            loaded = self._load(pointer)
            both = {wanted.bundle, champion.pointer.bundle}
            scorers = {digest: self._copy(digest) for digest in both} if wanted.share else {wanted.bundle: loaded.bundle}
            share_attributes = key_attributes(champion.bundle, loaded.bundle)
            candidate = Candidate(wanted.bundle, wanted.share, loaded if wanted.share else None, scorers, share_attributes)
        except (MlAssetsError, OSError) as error:
            trouble = str(error)
        with self._loading:
            if self.serving is champion:
                self.serving, self.shadow_trouble = replace(champion, candidate=candidate), trouble

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
        content = (bundle.card.product, bundle.release)
        if content != (self.product, pointer.release):
            raise BundleRefused(f"{pointer.bundle} holds {content}, the pointer names {(self.product, pointer.release)}")
        return Serving(bundle, pointer, time.perf_counter() - started)


def _stays(candidate: Candidate | None, pointer: Pointer) -> bool:
    """Whether the pointer names this candidate, with the same share and the same champion."""
    wanted = pointer.shadow
    if candidate is None or wanted is None or (candidate.digest, candidate.share) != (wanted.bundle, wanted.share):
        return False
    return not wanted.share or pointer.bundle in candidate.scorers
