"""Erasing the body of one entry: a tombstone with its digest takes its place, so that the chain still verifies.

Only bodies that nothing reads back may go. Refused are kinds that decide, serve or count, and entries whose hash has the body
itself in it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, func, select, update
from sqlalchemy.exc import ProgrammingError

from ml_assets.core.digests import canonical_json, digest_json
from ml_assets.core.release.identity import By, recorded
from ml_assets.errors import MlAssetsError
from resources.ledger import tables as schema
from resources.ledger.chain import BODY_SHA256, Entry, rule_of, tombstone
from resources.ledger.decisions import signed
from resources.ledger.ledger import Ledger, LedgerConflict

ERASABLE = frozenset({"refusal"})
NEEDED: Mapping[str, str] = {
    "manifest": "what it describes is found, reused and served by it",
    "publication": "it says which manifest is current",
    "evidence": "releases and promotions rest on it",
    "look": "the test budget counts it: without it a look would be refunded",
    "verdict": "the test budget counts it: without it a promotion would be refunded",
    "approval": "it decides whether a release may serve",
    "override": "a release was let through by it",
    "promotion": "it says which release serves",
    "staging": "it says which release serves in staging",
    "rollback": "it says which release serves",
    "shadow": "it says which release is tried next to the one that serves",
    "recall": "it keeps out what was recalled",
    "erasure": "it shows that a body was erased, and not lost",
    "restoration": "it says which test windows may have been asked in what was lost",
    "attempt": "it says which deliveries were read, refused or given up",
    "notice": "somebody was told it, or has to be",
    "sent": "without it a notice would go out again",
    "trigger": "without it the same reason would train again",
    "freeze": "it says what may be trained and promoted",
    "acceptance": "it says which partitions are not held back",
    "reopening": "it says which candidates were tested on rows that were looked at before",
    "extraction": "it says where a delivery came from, and without it the source would be asked again",
    "probation": "it says which promises were kept, and which release was demoted for one",
}


class ErasureRefused(MlAssetsError):
    """The body of this entry cannot be erased."""


@dataclass(frozen=True)
class Erased:
    """`erasure` is the entry that records it. Without `is_wiped` the body's bytes may still lie in the database's files."""

    erasure: Entry
    is_wiped: bool


def erase(ledger: Ledger, seq: int, *, by: By, reason: str) -> Erased:
    """Replace the body of an entry and record who did that and why, both or neither. Raises ErasureRefused."""
    who, why = signed(by, reason, what="erasure")
    entry = next(iter(ledger.entries(schema.entries.c.seq == seq)), None)
    if entry is None:
        with ledger.engine.connect() as connection:
            newest = connection.scalar(select(func.max(schema.entries.c.seq))) or 0
        raise ErasureRefused(f"the ledger has no entry {seq}; its entries are 1 to {newest}")
    if message := why_kept(entry):
        raise ErasureRefused(f"entry {seq} ({entry.kind}, {entry.at}) cannot be erased: {message}")
    digest = digest_json(entry.body)

    def replace_body(connection: Connection) -> None:
        columns = schema.entries.c
        where = (columns.seq == seq, columns.body == canonical_json(entry.body).decode())
        with _changeable(connection):
            query = update(schema.entries).where(*where).values(body=canonical_json(tombstone(digest)).decode())
            if connection.execute(query).rowcount != 1:
                raise LedgerConflict(f"entry {seq} was erased by somebody else in the meantime")

    body = {"seq": seq, BODY_SHA256: digest, **recorded(who), "reason": why}
    try:
        erasure = ledger.append("erasure", body, guard=replace_body)
    except ProgrammingError as error:
        message = str(error.orig).splitlines()[0]
        raise ErasureRefused(f"entry {seq}: only the owner of the ledger's tables may erase ({message})") from error
    return Erased(erasure, _wipe(ledger))


def why_kept(entry: Entry) -> str:
    """Return why the body has to stay; "" if it may go."""
    if entry.kind not in ERASABLE:
        return f"{entry.kind} entries are needed: {NEEDED.get(entry.kind, 'nothing says that they are not')}"
    match rule_of(entry):
        case "digest":
            return ""
        case "body":
            return "it is chained by the old rule, whose hash has the body itself in it; without it the chain would break"
        case "erased":
            return "its body was erased before"
    return "it does not hash to what is recorded for it; `ml-assets verify` says more"


@contextmanager
def _changeable(connection: Connection) -> Iterator[None]:
    """Lift what refuses changes of the entries, inside the transaction: no one else ever sees it lifted."""
    lift, restore = schema.lift_entries(connection.dialect.name)
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA secure_delete=ON")  # what is freed is overwritten with zeros
    for statement in lift:
        connection.exec_driver_sql(statement)
    yield
    for statement in restore:
        connection.exec_driver_sql(statement)


def _wipe(ledger: Ledger) -> bool:
    """Empty SQLite's write-ahead log, which still holds the body. PostgreSQL keeps dead rows until they are vacuumed."""
    with ledger.engine.connect() as connection:
        if connection.dialect.name != "sqlite":
            return False
        is_busy = bool(connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").scalar())
        return not is_busy
