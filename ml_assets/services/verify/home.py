"""Whether anything that was written is missing or changed, or anything was added. Looking changes nothing."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from ml_assets.services.verify.discrepancies import Discrepancies, Discrepancy, Progress
from ml_assets.services.verify.ledger import LedgerCheck
from ml_assets.services.verify.pointers import PointerCheck
from ml_assets.services.verify.store import StoreCheck
from resources.settings import Settings
from resources.store.blobs import LocalBlobs
from resources.store.remote_blobs import open_blobs


@dataclass(frozen=True)
class Verified:
    """The numbers of what was checked, and the discrepancies."""

    counts: dict[str, int]
    discrepancies: tuple[Discrepancy, ...]

    @property
    def is_clean(self) -> bool:
        """Whether there are notes at most."""
        return all(discrepancy.is_note for discrepancy in self.discrepancies)


def verify(settings: Settings, *, tell: Progress = lambda _: None) -> Verified:
    """Check the ledger, then the store and the pointer files against it. Caches are not asked. What is
    missing or changed in the store is noted in this home's, so that the next run puts it back."""
    discrepancies = Discrepancies()
    with tempfile.TemporaryDirectory(prefix="ml-assets-verify-", ignore_cleanup_errors=True) as folder:
        ledger = LedgerCheck(settings.ledger, settings.home / "ledger.head", Path(folder), discrepancies, tell)
        counts = {"entries": ledger.run()}
        blobs = open_blobs(settings.store, cache=Path(folder) / "blobs")
        upstream = settings.upstream_store
        below = open_blobs(upstream, cache=Path(folder) / "upstream") if upstream else None
        if not isinstance(blobs, LocalBlobs) or blobs.root.is_dir() or ledger.named:
            check = StoreCheck(blobs, below, ledger.named, discrepancies, tell)
            counts["files"] = check.run()
            copies = open_blobs(settings.store, cache=settings.cache / "blobs")
            for digest in check.damaged:  # else this machine would trust for a while that the store has it
                copies.doubt(digest)
        counts["endpoints"] = PointerCheck(settings, ledger.moves, ledger.shadows, discrepancies, ledger.served).run()
    return Verified(counts, tuple(discrepancies.collected))
