"""The files that name the releases that serve, compared with the ledger, which decides it."""

from collections.abc import Mapping
from dataclasses import dataclass

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
    """`moves`, `shadows`: the newest move, and the newest word about a shadow, of each product and environment."""

    settings: Settings
    moves: Mapping[tuple[str, str], Record[MoveRecord]]
    shadows: Mapping[tuple[str, str], Record[ShadowRecord]]
    discrepancies: Discrepancies

    def run(self) -> int:
        """Check every file; how many endpoints there are."""
        due = {
            self.settings.pointer(*endpoint): as_pointer(entry, self.shadows.get(endpoint))
            for endpoint, entry in self.moves.items()
        }
        for path, pointer in due.items():
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
