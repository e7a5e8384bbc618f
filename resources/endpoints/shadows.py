"""Shadows in the ledger: the release that scores next to the one that serves, the terms, and the outcome.

The terms are recorded at the start and hold until the end: whoever looks in between cannot bend them. A shadow runs next to
exactly the release that served at its start; when another release serves, it is over. A shadow that answers a share of the
requests itself is a canary; nothing else differs.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from ml_assets.core.lineage.facts import ReleaseFacts
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.release.identity import By, name_of, proof_of
from ml_assets.core.release.records import MoveRecord, Outcome, ShadowRecord, Terms
from ml_assets.errors import MlAssetsError
from resources.endpoints.pointer import Shadow
from resources.ledger import recalls
from resources.ledger import tables as schema
from resources.ledger.ledger import Ledger, entries_where
from resources.ledger.records import Record, read

MOST_SHARE = 0.5
_IS_SHADOW = schema.entries.c.kind == "shadow"


class ShadowRefused(MlAssetsError):
    """No shadow can start, or there is none to end."""


def start(
    ledger: Ledger,
    release: Manifest,
    *,
    champion: Record[MoveRecord],
    terms: Terms,
    by: str,
    reason: str,
    share: float = 0.0,
) -> Record[ShadowRecord]:
    """Record that the release is scored next to the champion from now on, and answers this share of the requests (0 to
    MOST_SHARE). Raises ShadowRefused, for example if the champion no longer serves, and Recalled."""
    body = ShadowRecord(
        action="start",
        product=champion.body.product,
        environment=champion.body.environment,
        champion=champion.body.bundle,
        bundle=release.snapshot,
        release=ReleaseFacts.of(release).release,
        manifest=release.id,
        as_of=release.partition,
        share=share,
        by=by,
        reason=reason,
        terms=terms,
    )

    def may_start(connection: Connection) -> None:
        recalls.refuse_within(connection, manifests=[release])
        _refuse_unless_serving(connection, champion)
        if (running := _running(connection, champion)) is not None:
            raise ShadowRefused(f"{running.body.release} is {place(running)} already; end that first")

    if not 0 < terms.alpha < 0.5 or not 0 <= terms.max_harm < terms.bound:
        raise ShadowRefused(f"0 < alpha < 0.5 and 0 <= max_harm < bound must hold: {terms}")
    if not 0 <= share <= MOST_SHARE:
        raise ShadowRefused(f"a share is at least 0 and at most {MOST_SHARE:g}, not {share:g}")
    if body.bundle == champion.body.bundle:
        raise ShadowRefused(f"{body.release} serves already")
    return read(ledger.append("shadow", body, guard=may_start), ShadowRecord)


def stop(
    ledger: Ledger, started: Record[ShadowRecord], *, outcome: Outcome, evidence: Mapping[str, Any], by: By, reason: str
) -> Record[ShadowRecord]:
    """Record the end of a shadow, its outcome and the evidence for it. Raises ShadowRefused if it has ended already."""
    ending: dict[str, Any] = {"action": "stop", "terms": None, "started": started.hash, "by": name_of(by), "reason": reason}
    ending["proof"] = proof_of(by)
    body = msgspec.structs.replace(started.body, **ending, outcome=outcome, evidence=dict(evidence))
    still_running = partial(_refuse_unless_running, started=started)
    return read(ledger.append("shadow", body, guard=still_running), ShadowRecord)


def newest(ledger: Ledger, product: str, environment: str) -> Record[ShadowRecord] | None:
    """The newest record about a shadow of this endpoint."""
    records = [e for e in ledger.records(ShadowRecord, _IS_SHADOW) if _is_of(e, product, environment)]
    return records[-1] if records else None


def running(ledger: Ledger, product: str, environment: str = "production") -> Record[ShadowRecord] | None:
    """The start of the shadow that runs now; None if none does."""
    entry, last = ledger.pointer(product, environment), newest(ledger, product, environment)
    return last if entry and last and is_next_to(last, entry) else None


def ended(
    ledger: Ledger, release: Manifest, champion: Record[MoveRecord], *, is_canary: bool = False
) -> Record[ShadowRecord] | None:
    """The end of the last shadow, or canary, of this release next to this champion; None if there was none, or it runs."""
    records = [e for e in ledger.records(ShadowRecord, _IS_SHADOW) if e.body.bundle == release.snapshot]
    records = [
        record for record in records if record.body.champion == champion.body.bundle and bool(record.body.share) == is_canary
    ]
    return records[-1] if records and records[-1].body.action == "stop" else None


def is_next_to(shadow: Record[ShadowRecord], move: Record[MoveRecord]) -> bool:
    """Whether this record starts a shadow next to the release that serves since the move."""
    return shadow.body.action == "start" and shadow.body.champion == move.body.bundle and shadow.seq > move.seq


def as_shadow(shadow: Record[ShadowRecord], *, move: Record[MoveRecord]) -> Shadow | None:
    """The pointer's part about a shadow; None when none runs."""
    if not is_next_to(shadow, move):
        return None
    body = shadow.body
    return Shadow(
        release=body.release,
        bundle=body.bundle,
        as_of=body.as_of,
        since=shadow.at,
        by=body.by,
        reason=body.reason,
        share=body.share,
    )


def place(shadow: Record[ShadowRecord]) -> str:
    """A phrase that says where the release is."""
    share = shadow.body.share
    return f"a canary that answers {share:.3g} of the requests" if share else "in the shadow"


def _is_of(shadow: Record[ShadowRecord], product: str, environment: str) -> bool:
    return (shadow.body.product, shadow.body.environment) == (product, environment)


def _records(connection: Connection, *where: Any) -> list[Record[ShadowRecord]]:
    return [read(entry, ShadowRecord) for entry in entries_where(connection, _IS_SHADOW, *where)]


def _running(connection: Connection, champion: Record[MoveRecord]) -> Record[ShadowRecord] | None:
    records = [record for record in _records(connection) if _is_of(record, champion.body.product, champion.body.environment)]
    return records[-1] if records and is_next_to(records[-1], champion) else None


def _refuse_unless_serving(connection: Connection, champion: Record[MoveRecord]) -> None:
    columns = schema.pointers.c
    where = (columns.product == champion.body.product, columns.environment == champion.body.environment)
    moves = select(columns.seq).where(*where, columns.seq > champion.seq)
    if later := entries_where(connection, schema.entries.c.seq.in_(moves)):
        raise ShadowRefused(f"{read(later[-1], MoveRecord).body.release} serves now, not {champion.body.release}")


def _refuse_unless_running(connection: Connection, *, started: Record[ShadowRecord]) -> None:
    records = _records(connection, schema.entries.c.seq > started.seq)
    if any(_is_of(record, started.body.product, started.body.environment) for record in records):
        raise ShadowRefused(f"{started.body.release} is no longer {place(started)}: that ended already")
