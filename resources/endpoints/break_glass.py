"""A rollback while the ledger is away: by a named person, on one machine, to a release that served before and that is here whole.

It is written down on that machine before it takes effect, and reconciled with the ledger when that is back: as a rollback, in
spite of what the ledger said, or, where the ledger had moved on meanwhile, as a refusal that says so; the ledger decides then.
"""

from pathlib import Path

import msgspec

from ml_assets.core.release.identity import By, Identity
from ml_assets.errors import MlAssetsError
from resources.endpoints.moves import Endpoints, NothingToRollBackTo
from resources.endpoints.pointer import Pointer
from resources.ledger import tables as schema
from resources.ledger.recalls import Recalled
from resources.store.blobs import write_atomically


class JournalDamaged(MlAssetsError):
    """The file is not one that `write` wrote."""


class BreakGlass(msgspec.Struct, frozen=True):
    """`pointer` serves on `host` since `at` (UTC, ISO 8601) instead of `replaced`, the digest that the ledger last named."""

    product: str
    environment: str
    host: str
    at: str
    by: str
    reason: str
    replaced: str
    pointer: Pointer
    proof: str = ""

    @property
    def who(self) -> By:
        """Who did it, as far as it was shown."""
        return Identity(self.by, self.proof) if self.proof else self.by

    @property
    def name(self) -> str:
        """How the ledger's entries name it."""
        return f"break-glass on {self.host} at {self.at}"


def read(path: Path) -> BreakGlass | None:
    """The act that the ledger does not hold yet; None without one. Raises JournalDamaged."""
    try:
        return decoded(path.read_bytes())
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise JournalDamaged(
            f"{path}: not a break-glass rollback: {error}; the ledger decides what serves once the file is removed"
        ) from error


def decoded(content: bytes | str) -> BreakGlass:
    """The act that was written, here or in a server's report. Raises DecodeError."""
    return msgspec.json.decode(content, type=BreakGlass)


def write(path: Path, act: BreakGlass) -> None:
    """Write the act down, durably."""
    write_atomically(path, msgspec.json.format(msgspec.json.encode(act), indent=2) + b"\n")


def is_recorded(endpoints: Endpoints, act: BreakGlass) -> bool:
    """Whether the ledger holds the act by now."""
    moves = endpoints.ledger.moves(act.product, act.environment)
    if any(move.body.reason.endswith(act.name) for move in moves):
        return True
    return any(entry.body.get("run") == act.name for entry in endpoints.ledger.entries(schema.entries.c.kind == "refusal"))


def reconcile(endpoints: Endpoints, act: BreakGlass, *, objection: str = "") -> str:
    """Record the act, once; as a refusal where there is an objection to it. Returns what became of it. Raises LedgerConflict
    where the endpoint moves at this moment."""
    if is_recorded(endpoints, act):
        return "recorded before"
    release = act.pointer.release
    now = endpoints.ledger.pointer(act.product, act.environment)
    trouble = objection or ("it serves by the ledger already" if now and now.body.bundle == act.pointer.bundle else "")
    if now and not trouble and now.body.bundle != act.replaced:
        trouble = f"the ledger had moved on to {now.body.release}, which serves"
    if not trouble:
        try:
            endpoints.rollback(
                act.product,
                to=act.pointer.bundle,
                by=act.who,
                reason=f"{act.reason}; {act.name}",
                environment=act.environment,
            )
        except (Recalled, NothingToRollBackTo) as error:
            trouble = str(error)
        else:
            return f"rolled back to {release}"
    reason = f"{act.by} had {release} serve on {act.host} without the ledger, since {act.at}: {act.reason}; it is over: {trouble}"
    body = {"product": act.product, "stage": "endpoint", "partition": act.pointer.as_of, "release": act.pointer.bundle}
    endpoints.ledger.append("refusal", {**body, "reasons": [reason], "run": act.name})
    return f"over: {trouble}"
