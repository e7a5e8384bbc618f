"""Moving an endpoint: the ledger records which release serves; a pointer file, which the server reads, follows it."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec
from sqlalchemy import func, or_, select

from ml_assets.core.lineage.facts import ReleaseFacts
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.release.identity import By, name_of, proof_of
from ml_assets.core.release.promotion import Move, back, stack
from ml_assets.core.release.records import MoveRecord, ShadowRecord
from ml_assets.errors import MlAssetsError
from resources.endpoints import pointer as pointers
from resources.endpoints import shadows
from resources.endpoints.pointer import Pointer
from resources.ledger import following, recalls
from resources.ledger import tables as schema
from resources.ledger.ledger import Kind, Ledger
from resources.ledger.records import Record
from resources.settings import pointer_file


class NothingToRollBackTo(MlAssetsError):
    """No earlier release, or none of that name, served in this environment."""


@dataclass(frozen=True)
class Endpoints:
    """The endpoints of all products. `folder` holds their pointer files."""

    folder: Path
    ledger: Ledger

    def file(self, product: str, environment: str) -> Path:
        """Return the path of a pointer file."""
        return pointer_file(self.folder, product, environment)

    def move(
        self,
        kind: Kind,
        release: Manifest,
        *,
        environment: str,
        by: By,
        reason: str,
        expected: str | None,
        is_proven: bool = False,
    ) -> Pointer:
        """Record that the release serves from now on, if `expected` (a bundle's digest) still serves; then write the pointer
        file. A crash between the two is mended by `settle`. `is_proven`: it is an anchor now. Raises LedgerConflict, Recalled."""
        move = MoveRecord(
            product=release.recipe.product,
            environment=environment,
            bundle=release.snapshot,
            release=ReleaseFacts.of(release).release,
            manifest=release.id,
            as_of=release.partition,
            previous=expected,
            by=name_of(by),
            reason=reason,
            is_proven=is_proven,
            proof=proof_of(by),
        )
        return self._record(kind, move, expected=expected, release=release)

    def rollback(self, product: str, *, to: str | None, by: By, reason: str, environment: str = "production") -> Pointer:
        """Let an earlier release serve again: the one before, or the one named `to` (name or digest). Recalled releases are
        skipped. Raises NothingToRollBackTo, and Recalled if the one named `to` was."""
        entries = self.ledger.moves(product, environment)
        moves = [as_move(entry) for entry in entries]
        target = back(moves, to=to, recalled=() if to else recalled_bundles(self.ledger, product, environment))
        if target is None:
            known = dict.fromkeys(move.release for move in (moves if to else stack(moves)))
            raise NothingToRollBackTo(
                f"{product}: there is no {f'release {to}' if to else 'earlier release'} to go back to; "
                f"served so far: {', '.join(known) or 'none'}"
            )
        entry = next(entry for entry in reversed(entries) if entry.body.bundle == target.bundle)
        now = moves[-1].bundle
        move = msgspec.structs.replace(entry.body, previous=now, by=name_of(by), reason=reason, proof=proof_of(by))
        release = self.ledger.manifest(move.manifest)
        assert release is not None
        return self._record("rollback", move, expected=now, release=release)

    def settle(self, product: str, environment: str) -> Pointer | None:
        """Make the pointer file say what the ledger says, and return its content (None: nothing ever served). The file is a cache
        for when the ledger is away; nothing else writes it.

        The ledger is read again after writing: another process may have moved the endpoint, and written, in between. Raises
        LedgerRolledBack where the ledger is an older copy.
        """
        following.newest(self.ledger)
        written: Pointer | None = None
        while (now := self._now(product, environment)) is not None and now != written:
            pointers.write(self.file(product, environment), now)
            written = now
        return written

    def earlier(self, product: str, environment: str) -> list[Pointer]:
        """The releases that a rollback would go back through, newest first, without those that were recalled."""
        entries = self.ledger.moves(product, environment)
        recalled = recalled_bundles(self.ledger, product, environment)
        by_bundle = {entry.body.bundle: as_pointer(entry) for entry in entries}
        moves = stack([as_move(entry) for entry in entries])[:-1]
        return [by_bundle[move.bundle] for move in reversed(moves) if move.bundle not in recalled]

    def _now(self, product: str, environment: str) -> Pointer | None:
        entry = self.ledger.pointer(product, environment)
        return as_pointer(entry, shadows.newest(self.ledger, product, environment)) if entry else None

    def _record(self, kind: Kind, move: MoveRecord, *, expected: str | None, release: Manifest) -> Pointer:
        not_recalled = partial(recalls.refuse_within, manifests=[release])
        entry = self.ledger.move_pointer(kind, move, expected=expected, guard=not_recalled)
        self.settle(move.product, move.environment)
        return as_pointer(entry)  # a shadow next to the release that served before ends with it


def moves_of(ledger: Ledger, product: str, environment: str) -> list[Move]:
    """Every move of one endpoint, oldest first."""
    return [as_move(entry) for entry in ledger.moves(product, environment)]


def last_move_before(ledger: Ledger, product: str, environment: str, entry: int) -> Move | None:
    """The newest move of one endpoint before an entry; None if there is none."""
    columns = schema.pointers.c
    where = (columns.product == product, columns.environment == environment, columns.seq < entry)
    newest = select(func.max(columns.seq)).where(*where).scalar_subquery()
    return next(iter(map(as_move, ledger.records(MoveRecord, schema.entries.c.seq == newest))), None)


def moves_about(ledger: Ledger, product: str, environment: str, bundle: str) -> list[Move]:
    """The moves of one endpoint that say whether it may move to a bundle: those to that, and the newest one, oldest first."""
    columns = schema.pointers.c
    of_endpoint = (columns.product == product, columns.environment == environment)
    newest = select(func.max(columns.seq)).where(*of_endpoint).scalar_subquery()
    seqs = select(columns.seq).where(*of_endpoint, or_(columns.release == bundle, columns.seq == newest))
    return [as_move(entry) for entry in ledger.records(MoveRecord, schema.entries.c.seq.in_(seqs))]


def recalled_bundles(ledger: Ledger, product: str, environment: str) -> frozenset[str]:
    """The digests of the bundles that served at some time and were recalled, or made from what was."""
    bad = recalls.derived(ledger, product)
    moves = ledger.moves(product, environment) if bad else ()
    return frozenset(entry.body.bundle for entry in moves if entry.body.manifest in bad)


def as_pointer(entry: Record[MoveRecord], shadow: Record[ShadowRecord] | None = None) -> Pointer:
    """The content of the pointer file after this move and the newest record about a shadow."""
    return Pointer(
        release=entry.body.release,
        bundle=entry.body.bundle,
        as_of=entry.body.as_of,
        since=entry.at,
        by=entry.body.by,
        reason=entry.body.reason,
        previous=entry.body.previous,
        shadow=shadows.as_shadow(shadow, move=entry) if shadow else None,
    )


def as_move(entry: Record[MoveRecord]) -> Move:
    """A recorded move as core.release.promotion sees it."""
    return Move(
        bundle=entry.body.bundle,
        release=entry.body.release,
        as_of=entry.body.as_of,
        kind="rollback" if entry.kind == "rollback" else "promotion",
        is_proven=entry.body.is_proven,
    )
