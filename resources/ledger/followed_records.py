"""The records of a kind by product, read on from where this process came to: a sensor asks for them again and again, and most of
them are old.

Entries are only ever added, so that what was read stays right as long as the newest of it is still in the chain. Does not belong
here: kinds that have an index table, which finds what is asked for without the others.
"""

import threading
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from resources.ledger import tables as schema
from resources.ledger.head_checkpoint import Head
from resources.ledger.kinds import Kind
from resources.ledger.ledger import Ledger
from resources.ledger.records import Body, Record

MOST_FOLLOWED = 32
"""Kinds of ledgers that one process follows; those that were not asked for longest are read again."""


@dataclass
class _Followed:
    """What was read of a kind of one ledger."""

    newest: Head | None = None
    by_product: dict[str, list[Record[Any]]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def read_on(self, ledger: Ledger, kind: Kind, body: type[Any]) -> None:
        if self.newest is not None and not ledger.holds(self.newest):
            self.newest, self.by_product = None, {}
        after = self.newest.seq if self.newest else 0
        for record in ledger.records(body, schema.entries.c.kind == kind, schema.entries.c.seq > after):
            self.by_product.setdefault(record.body.product, []).append(record)
            self.newest = Head(record.seq, record.hash)


@lru_cache(maxsize=MOST_FOLLOWED)
def _followed(url: str, kind: Kind) -> _Followed:
    return _Followed()


def records_of(ledger: Ledger, kind: Kind, body: type[Body], product: str) -> list[Record[Body]]:
    """Every record of a kind about a product, oldest first. The bodies have to name their product. Raises EntryNewer and
    EntryMalformed."""
    followed = _followed(ledger.url, kind)
    with followed.lock:
        followed.read_on(ledger, kind, body)
        return [*followed.by_product.get(product, ())]
