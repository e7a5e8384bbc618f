"""Brings one endpoint of this home in line with the ledger: the pointer that a server reads, and what the ledger is told of it.

While the ledger is away, or is not the home's own, the release that was cached goes on serving, and the server says since when.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

import msgspec
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from ml_assets.core.release.identity import By, name_of, proof_of
from ml_assets.core.release.promotion import SHORTEST_PREFIX
from ml_assets.errors import MlAssetsError
from ml_assets.serving.http.followed_ledger import LedgerLink
from resources.endpoints import break_glass, replicas
from resources.endpoints import pointer as pointers
from resources.endpoints.break_glass import BreakGlass
from resources.endpoints.moves import Endpoints, NothingToRollBackTo
from resources.endpoints.pointer import Pointer
from resources.endpoints.replicas import Replica
from resources.ledger import following
from resources.ledger.database import LedgerRefused
from resources.ledger.decisions import signed
from resources.ledger.head_checkpoint import Head
from resources.store.blobs import write_atomically

LOGGER = logging.getLogger(__name__)
NO_PRIVILEGE = "42501"
"""PostgreSQL's code for what a role may not do."""
AWAY = (MlAssetsError, SQLAlchemyError, OSError)


class LedgerAway(MlAssetsError):
    """The ledger is away, or it is back and needs no breaking of glass."""


@dataclass
class Follower:
    """`history` is a file that caches the releases that a rollback goes back through; `journal` is the file of a break-glass
    rollback. `is_cached` says whether a bundle (its digest) is here, whole. Its methods may be called from any thread."""

    endpoints: Endpoints
    product: str
    environment: str
    history: Path
    journal: Path
    host: str
    is_cached: Callable[[str], bool]
    link: LedgerLink = field(default_factory=LedgerLink)
    _head: Head | None = None
    _now: Pointer | None = None
    _lock: Lock = field(default_factory=Lock)

    def pointer(self) -> Pointer | None:
        """The release that has to serve here: by the ledger or, while that is away, by what is cached. None: nothing ever served.
        Raises PointerError."""
        with self._lock:
            try:
                pointer, act = self._read()
            except AWAY as error:
                self._lost(error)
                act = self._journalled()
                return act.pointer if act else self._cached()
            if self.link.away_since:
                LOGGER.warning("%s: the ledger is back", self.product)
            self.link = LedgerLink(id=self.link.id, break_glass=act.name if act else None, unreported=self.link.unreported)
            return pointer

    def earlier(self) -> list[Pointer]:
        """The releases that a rollback would go back through, newest first, as the ledger last said."""
        try:
            return msgspec.json.decode(self.history.read_bytes(), type=list[Pointer])
        except (FileNotFoundError, msgspec.DecodeError):
            return []

    def roll_back(self, to: str | None, by: By, reason: str) -> None:
        """Record a rollback. Raises LedgerAway and NothingToRollBackTo."""
        try:
            self.endpoints.rollback(self.product, to=to, by=by, reason=reason, environment=self.environment)
        except (SQLAlchemyError, LedgerRefused) as error:
            if _may_not_write(error):
                raise LedgerAway(
                    f"this server's role may only read the ledger: `ml-assets rollback {self.product}` where one may write"
                ) from error
            raise LedgerAway(
                f'the ledger is away: {_reason(error)}; with "break_glass": true the release before serves on this machine'
            ) from error

    def break_glass(self, to: str | None, by: By, reason: str) -> None:
        """Have a release that served before serve on this machine while the ledger is away. Raises LedgerAway where it isn't,
        and NothingToRollBackTo."""
        who, why = signed(by, reason, what="break-glass rollback")
        now = self.pointer()
        if not self.link.away_since:
            raise LedgerAway("the ledger answers: roll back without break_glass, so that every server follows")
        if now is None:
            raise NothingToRollBackTo(f"{self.product}: nothing ever served here")
        known = [earlier for earlier in self.earlier() if earlier.bundle != now.bundle and self.is_cached(earlier.bundle)]
        latest = self._cached()  # by name one may go forward again, to what the ledger said last
        named = [*known, *([latest] if latest and latest.bundle != now.bundle else [])]
        target = next(iter(known), None) if to is None else next((p for p in named if _is_named(p, to)), None)
        if target is None:
            names = ", ".join(pointer.release for pointer in named) or "none"
            raise NothingToRollBackTo(f"{self.product}: no {to or 'earlier release'} is here to go back to; cached: {names}")
        at, name = datetime.now(UTC).isoformat(timespec="microseconds"), name_of(who)
        pointer = msgspec.structs.replace(target, since=at, by=name, reason=why, previous=now.bundle, shadow=None)
        act = self._journalled()
        replaced = act.replaced if act else now.bundle
        place = (self.product, self.environment, self.host)
        break_glass.write(self.journal, BreakGlass(*place, at, name, why, replaced, pointer, proof_of(who)))

    def report(self, replica: Replica) -> None:
        """Say in the ledger's database what this server serves; where that is away, the next report may come through."""
        try:
            act = self._journalled()
            text = msgspec.json.encode(act).decode() if act else None
            replicas.report(self.endpoints.ledger.engine, msgspec.structs.replace(replica, break_glass=text))
        except AWAY as error:
            self._unreported(f"{_reason(error)}")
        else:
            self.link = msgspec.structs.replace(self.link, unreported=None)

    def leave(self, replica: Replica) -> None:
        """Take the report back; where that fails the server will be named as one that is silent."""
        try:
            replicas.leave(self.endpoints.ledger.engine, replica)
        except AWAY as error:
            LOGGER.warning("%s: this server's report stays in the ledger's database: %s", self.product, _reason(error))
        self.endpoints.ledger.close()

    def _read(self) -> tuple[Pointer | None, BreakGlass | None]:
        """The pointer by the ledger, and the break-glass rollback that goes before it because nobody could record it yet."""
        head = following.newest(self.endpoints.ledger)
        act = break_glass.read(self.journal)
        if act is not None and not self._reconciled(act):
            return act.pointer, act
        if act is not None or head is None or head != self._head:
            self._now = self.endpoints.settle(self.product, self.environment)
            self._keep_history()
            if head is not None:
                following.remember(self.endpoints.ledger, head)
            self.link = msgspec.structs.replace(self.link, id=following.identity_of(self.endpoints.ledger))
            self._head = head
        return self._now, None

    def _cached(self) -> Pointer | None:
        return pointers.read(self.endpoints.file(self.product, self.environment))

    def _journalled(self) -> BreakGlass | None:
        """The break-glass rollback of this machine; None without one, and for a damaged one, which the link has the reason of."""
        try:
            return break_glass.read(self.journal)
        except break_glass.JournalDamaged as error:
            LOGGER.warning("%s", error)
            return None

    def _reconciled(self, act: BreakGlass) -> bool:
        """Whether the ledger holds the act now; False where this server's role may not write, and somebody else has to."""
        try:
            outcome = break_glass.reconcile(self.endpoints, act)
        except DBAPIError as error:
            if not _may_not_write(error):
                raise
            return False
        LOGGER.warning("%s: %s: %s", self.product, act.name, outcome)
        self.journal.unlink(missing_ok=True)
        return True

    def _keep_history(self) -> None:
        earlier = self.endpoints.earlier(self.product, self.environment)
        content = msgspec.json.encode(earlier)
        if not self.history.is_file() or self.history.read_bytes() != content:
            write_atomically(self.history, content)

    def _lost(self, error: Exception) -> None:
        if not self.link.away_since:
            LOGGER.warning("%s: the ledger cannot be followed: %s", self.product, _reason(error))
        since = self.link.away_since or datetime.now(UTC).isoformat(timespec="seconds")
        self.link = msgspec.structs.replace(self.link, away_since=since, why=_reason(error))

    def _unreported(self, why: str) -> None:
        if self.link.unreported != why:
            LOGGER.warning("%s: what this server serves is not reported: %s", self.product, why)
        self.link = msgspec.structs.replace(self.link, unreported=why)


def _is_named(pointer: Pointer, name: str) -> bool:
    return name == pointer.release or (len(name) >= SHORTEST_PREFIX and pointer.bundle.startswith(name))


def _may_not_write(error: Exception) -> bool:
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", getattr(error.orig, "pgcode", "")) == NO_PRIVILEGE


def _reason(error: Exception) -> str:
    """The first line of the message, without the statement."""
    lines = str(error.orig if isinstance(error, DBAPIError) else error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
