"""Whether anything that was written is missing or changed, or anything was added. Looking changes nothing of it."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from ml_assets.services.verify.discrepancies import Discrepancies, Discrepancy, Progress
from ml_assets.services.verify.ledger import LedgerCheck
from ml_assets.services.verify.memory import BEGINNING, Memory, VerifiedUpTo, forget
from ml_assets.services.verify.pointers import PointerCheck
from ml_assets.services.verify.resumed import NotAsVerified
from ml_assets.services.verify.seen_files import SeenFiles, scratch_files
from ml_assets.services.verify.store import StoreCheck
from resources.settings import Settings
from resources.store.blobs import LocalBlobs
from resources.store.places import place_of
from resources.store.remote_blobs import open_blobs


@dataclass(frozen=True)
class Verified:
    """The numbers of what was checked, and the discrepancies. `since`: the entry after which the ledger was read; `point`: up to
    where all is as it was written, if it is."""

    counts: dict[str, int]
    discrepancies: tuple[Discrepancy, ...]
    since: int = 0
    point: VerifiedUpTo = BEGINNING

    @property
    def is_clean(self) -> bool:
        """Whether there are notes at most."""
        return all(discrepancy.is_note for discrepancy in self.discrepancies)


def verify(settings: Settings, *, tell: Progress = lambda _: None) -> Verified:
    """Check the ledger, then the store and the pointer files against it. Caches are not asked. What is
    missing or changed in the store is noted in this home's, so that the next run puts it back."""
    with _scratch() as folder:
        verified = _check(settings, folder, scratch_files(folder), BEGINNING, tell)
    if not verified.is_clean:
        forget(settings)
    return verified


def verify_new(settings: Settings, memory: Memory, *, tell: Progress = lambda _: None) -> Verified:
    """The same of what came since the memory was kept last; of everything where that was in another ledger or store, or is not
    what it was: `memory.why_whole` says so. Whoever finds it clean keeps the memory at its `point`."""
    place = place_of(open_blobs(settings.store, cache=settings.cache / "blobs"))
    if memory.point.seq and memory.point.store != place:
        memory.distrust(f"the store was {memory.point.store} then, and is {place} now")
    verified = _resumed(settings, memory, tell) if memory.point.seq else None
    if verified is None:
        with _scratch() as folder:
            verified = _check(settings, folder, memory.files, BEGINNING, tell)
    return replace(verified, point=msgspec.structs.replace(verified.point, store=place))


def _resumed(settings: Settings, memory: Memory, tell: Progress) -> Verified | None:
    """The check from the memory's point on; None where that does not count, which the memory says from then on."""
    with _scratch() as folder:
        try:
            return _check(settings, folder, memory.files, memory.point, tell)
        except NotAsVerified as error:
            memory.distrust(str(error))
    return None


@contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ml-assets-verify-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _check(settings: Settings, folder: Path, files: SeenFiles, since: VerifiedUpTo, tell: Progress) -> Verified:
    """Check what came after a point. Raises NotAsVerified before it finds anything."""
    discrepancies = Discrepancies()
    ledger = LedgerCheck(settings.ledger, settings.home / "ledger.head", folder, discrepancies, tell, since)
    counts = {"entries": ledger.run()}
    blobs = open_blobs(settings.store, cache=folder / "blobs")
    upstream = settings.upstream_store
    below = open_blobs(upstream, cache=folder / "upstream") if upstream else None
    if not isinstance(blobs, LocalBlobs) or blobs.root.is_dir() or ledger.named or not files.is_first_look:
        check = StoreCheck(blobs, below, ledger.named, discrepancies, tell, files)
        counts["files"] = check.run()
        copies = open_blobs(settings.store, cache=settings.cache / "blobs")
        for digest in check.damaged:  # else this machine would trust for a while that the store has it
            copies.doubt(digest)
    counts["endpoints"] = PointerCheck(settings, ledger.moves, ledger.shadows, discrepancies, ledger.served).run()
    return Verified(counts, tuple(discrepancies.collected), since.seq, ledger.verified)
