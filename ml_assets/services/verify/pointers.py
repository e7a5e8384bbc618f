"""The files that name the releases that serve, compared with the ledger, which decides it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from ml_assets.core.release.records import MoveRecord, ShadowRecord
from ml_assets.services.verify.discrepancies import Discrepancies
from resources.endpoints import pointer as pointers
from resources.endpoints.moves import as_pointer
from resources.ledger.records import Record
from resources.settings import Settings
from resources.store.temp_files import UNFINISHED

SETTLE = "materialize the endpoint, or start `ml-assets dev`: both write what the ledger says"


@dataclass
class PointerCheck:
    """`moves`, `shadows`: the newest move, and the newest word about a shadow, of each product and environment. `served`:
    product, environment, since when and bundle of every move. Where other machines move endpoints too, a file that lags behind
    them is no discrepancy: nobody here may have needed it since."""

    settings: Settings
    moves: Mapping[tuple[str, str], Record[MoveRecord]]
    shadows: Mapping[tuple[str, str], Record[ShadowRecord]]
    discrepancies: Discrepancies
    served: Collection[tuple[str, str, str, str]] = ()

    def run(self) -> int:
        """Check every file; how many endpoints there are."""
        due = {
            self.settings.pointer(*endpoint): as_pointer(entry, self.shadows.get(endpoint))
            for endpoint, entry in self.moves.items()
        }
        lagging = set(map(self._lagging, self.moves))
        for path, pointer in due.items():
            if path in lagging:
                continue
            where = f"pointer {path.relative_to(self.settings.home)}"
            if path.is_symlink() or not path.is_file():
                self.discrepancies.add("missing", where, f"is not a file; {pointer.release} should serve", SETTLE)
            elif path.read_bytes() != pointers.content(pointer):
                message = f"does not say what the ledger says: {pointer.release} serves since {pointer.since}"
                self.discrepancies.add("changed", where, message, SETTLE)
        root = self.settings.home / "endpoints"
        for path in sorted(root.rglob("*")):
            if path not in due and not path.is_dir():
                where = f"pointer {path.relative_to(self.settings.home)}"
                if path.name.startswith(UNFINISHED):
                    self.discrepancies.note("added", where, "is a write that a crash cut off; it may be deleted")
                else:
                    self.discrepancies.add("added", where, "belongs to no endpoint of the ledger", "find out who put it there")
        return len(due)

    def _lagging(self, endpoint: tuple[str, str]) -> Path | None:
        """The file of an endpoint, noted, where it says what the ledger said before, or is not there yet; None elsewhere."""
        path = self.settings.pointer(*endpoint)
        if self.settings.ledger == f"sqlite:///{self.settings.home / 'ledger.db'}" or path.is_symlink():
            return None
        try:
            pointer = pointers.read(path)
        except (pointers.PointerError, OSError):
            return None
        newest = self.moves[endpoint]
        if pointer is not None and (pointer.since == newest.at or (*endpoint, pointer.since, pointer.bundle) not in self.served):
            return None
        message = f"lags behind the ledger, by which {newest.body.release} serves since {newest.at}: {SETTLE}"
        self.discrepancies.note("missing", f"pointer {path.relative_to(self.settings.home)}", message)
        return path
