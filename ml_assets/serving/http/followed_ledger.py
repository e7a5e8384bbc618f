"""The ledger as a server sees it: who tells it what to serve, and whom it tells what it serves."""

from typing import Protocol

import msgspec

from resources.endpoints.pointer import Pointer
from resources.endpoints.replicas import Replica


class LedgerLink(msgspec.Struct, frozen=True, kw_only=True):
    """The ledger that a server follows, by its identity; since when it is away and why; the break-glass rollback that it doesn't
    hold yet. `unreported`: why what this server serves could not be reported."""

    id: str | None = None
    away_since: str | None = None
    why: str | None = None
    break_glass: str | None = None
    unreported: str | None = None


class Followed(Protocol):
    """A follower of the ledger, as a server uses it."""

    link: LedgerLink

    def pointer(self) -> Pointer | None:
        """The release that has to serve now."""

    def report(self, replica: Replica) -> None:
        """Say what this server serves."""

    def leave(self, replica: Replica) -> None:
        """This server stops."""
