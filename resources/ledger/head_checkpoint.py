"""The ledger's newest entry, as one home remembers it. The chain alone cannot show that its end was cut off.

It is written after the entry is committed, so after a crash it may be behind the ledger, and never before it.
"""

import json
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, select

from ml_assets.core.digests import canonical_json
from ml_assets.errors import MlAssetsError
from resources.ledger import tables as schema
from resources.store.blobs import write_atomically


class HeadCheckpointDamaged(MlAssetsError):
    """The file is not one that `remember` wrote."""


class LedgerRolledBack(MlAssetsError):
    """The ledger lacks the newest entry that this home remembers: it is an older copy, or another ledger."""


class Head(NamedTuple):
    """The newest entry."""

    seq: int
    hash: str


def read(path: Path) -> Head | None:
    """Return the remembered head, or None if there is no file yet. Raises HeadCheckpointDamaged."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        head = Head(**json.loads(content))
        is_whole = canonical_json(head._asdict()) == content and type(head.seq) is int and len(head.hash) == 64
    except (ValueError, TypeError) as error:
        raise HeadCheckpointDamaged(f"{path}: not what was written") from error
    if not is_whole:
        raise HeadCheckpointDamaged(f"{path}: not what was written")
    return head


def holds(connection: Connection, head: Head) -> bool:
    """Whether the entry is in the chain, as it was."""
    return connection.scalar(select(schema.entries.c.hash).where(schema.entries.c.seq == head.seq)) == head.hash


def refuse_rolled_back(path: Path, connection: Connection) -> None:
    """Raise LedgerRolledBack where the ledger lacks the remembered head. A damaged one says nothing; `verify` finds it."""
    try:
        head = read(path)
    except HeadCheckpointDamaged:
        return
    if head is not None and not holds(connection, head):
        raise LedgerRolledBack(
            f"the ledger does not hold entry {head.seq}, which {path} remembers as its newest: it is an older copy, or another "
            f"ledger. Put the newer one back; if that is lost, `ml-assets restore --by NAME --reason TEXT` records that this "
            f"one goes on"
        )


def remember(path: Path, head: Head) -> None:
    """Remember a newer head; an older one, which a slower process brings, changes nothing.

    The entry itself is committed: a disk that fails here leaves the checkpoint behind the ledger, as a crash does.
    """
    try:
        known = read(path)
        if known is None or known.seq < head.seq:
            replace(path, head)
    except (HeadCheckpointDamaged, OSError):
        return  # a damaged one is left as it is for `ml-assets verify` to find


def replace(path: Path, head: Head) -> None:
    """Remember this head, whatever was remembered before."""
    write_atomically(path, canonical_json(head._asdict()))
