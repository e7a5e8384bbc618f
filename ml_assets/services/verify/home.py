"""Whether anything that was written is missing or changed, or anything was added. Looking changes nothing."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from ml_assets.services.verify.discrepancies import Discrepancies, Discrepancy, Progress
from ml_assets.services.verify.ledger import LedgerCheck
from ml_assets.services.verify.pointers import PointerCheck
from ml_assets.services.verify.store import StoreCheck
from resources.settings import Settings
from resources.store.blobs import LocalBlobs, open_blobs


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
    """Check the ledger, then the store and the pointer files against it. Caches are not asked: nothing trusts them."""
    discrepancies = Discrepancies()
    with tempfile.TemporaryDirectory(prefix="ml-assets-verify-", ignore_cleanup_errors=True) as folder:
        ledger = LedgerCheck(settings.ledger, settings.home / "ledger.head", Path(folder), discrepancies, tell)
        counts = {"entries": ledger.run()}
        blobs = open_blobs(settings.store, cache=Path(folder) / "blobs")
        upstream = settings.upstream_store
        below = open_blobs(upstream, cache=Path(folder) / "upstream") if upstream else None
        if not isinstance(blobs, LocalBlobs) or blobs.root.is_dir() or ledger.named:
            counts["files"] = StoreCheck(blobs, below, ledger.named, discrepancies, tell).run()
        counts["endpoints"] = PointerCheck(settings, ledger.moves, ledger.shadows, discrepancies).run()
    return Verified(counts, tuple(discrepancies.collected))
