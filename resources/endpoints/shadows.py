"""Shadows in the ledger: which release scores beside the one that answers, under which terms, and what came of it.

The terms are recorded at the start and hold until the end: whoever looks in between cannot bend them. A shadow is beside
exactly the release that answered at its start; when something else answers, it is over. One that answers a share of the requests
itself is a canary: the same in all else.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, select

from ml_assets.core.lineage.manifests import Manifest
from ml_assets.errors import MlAssetsError
from resources.endpoints.pointer import Shadow
from resources.ledger import recalls
from resources.ledger import tables as schema
from resources.ledger.ledger import Entry, Ledger, entries_where

MOST_SHARE = 0.5
Outcome = Literal["harm", "good enough", "stopped"]


class ShadowRefused(MlAssetsError):
    """No shadow can start, or there is none to end."""


class Terms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a shadow is judged: by the mean, over units, of candidate's loss minus champion's, each unit's cut at `bound`."""

    unit: str
    alpha: float
    max_harm: float
    bound: float

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 0.5 or not 0 <= self.max_harm < self.bound:
            raise ShadowRefused(f"0 < alpha < 0.5 and 0 <= max_harm < bound have to hold: {self}")


def start(ledger: Ledger, release: Manifest, *, champion: Entry, terms: Terms, by: str, reason: str, share: float = 0.0) -> Entry:
    """Record that the release is scored beside the champion from now on, and answers this share of the requests, if the champion
    answers still and nothing was recalled."""
    told = {"name": release.facts["release"], "manifest": release.id, "as_of": release.partition}
    told |= {"action": "start", "release": release.snapshot, "share": share}
    body = {**_of(champion), **told, "terms": msgspec.structs.asdict(terms)}

    def may_start(connection: Connection) -> None:
        recalls.refuse_within(connection, manifests=[release])
        _refuse_unless_answering(connection, champion)
        if (running := _running(connection, champion)) is not None:
            raise ShadowRefused(f"{running.body['name']} is {place(running)} already; end that first")

    if not 0 <= share <= MOST_SHARE:
        raise ShadowRefused(f"a share is at least 0 and at most {MOST_SHARE:g}, not {share:g}")
    if release.snapshot == champion.body["release"]:
        raise ShadowRefused(f"{release.facts['release']} answers already")
    return ledger.append("shadow", {**body, "by": by, "reason": reason}, guard=may_start)


def stop(ledger: Ledger, started: Entry, *, outcome: Outcome, evidence: Mapping[str, Any], by: str, reason: str) -> Entry:
    """Record the end of a shadow, what was found, and the evidence for it."""
    kept = {name: value for name, value in started.body.items() if name not in ("action", "terms", "by", "reason")}
    told = {"action": "stop", "started": started.hash, "outcome": outcome, "evidence": dict(evidence)}
    still_running = partial(_refuse_unless_running, started=started)
    return ledger.append("shadow", {**kept, **told, "by": by, "reason": reason}, guard=still_running)


def newest(ledger: Ledger, product: str, environment: str) -> Entry | None:
    """What was recorded last about a shadow of this endpoint."""
    found = [e for e in ledger.entries(schema.entries.c.kind == "shadow") if _is_of(e, product, environment)]
    return found[-1] if found else None


def running(ledger: Ledger, product: str, environment: str = "production") -> Entry | None:
    """The start of the shadow that runs now."""
    entry, last = ledger.pointer(product, environment), newest(ledger, product, environment)
    return last if entry and last and is_beside(last, entry) else None


def ended(ledger: Ledger, release: Manifest, champion: Entry, *, is_canary: bool = False) -> Entry | None:
    """How the last shadow, or canary, of this release beside this champion ended; None when there was none, or it runs."""
    words = [e for e in ledger.entries(schema.entries.c.kind == "shadow") if e.body["release"] == release.snapshot]
    words = [w for w in words if w.body["champion"] == champion.body["release"] and bool(w.body["share"]) == is_canary]
    return words[-1] if words and words[-1].body["action"] == "stop" else None


def is_beside(shadow: Entry, move: Entry) -> bool:
    """Whether this word about a shadow lets one run beside what the move made answer."""
    return bool(shadow.body["action"] == "start" and shadow.body["champion"] == move.body["release"] and shadow.seq > move.seq)


def as_shadow(shadow: Entry, *, beside: Entry) -> Shadow | None:
    """The pointer's part about a shadow; None when none runs."""
    if not is_beside(shadow, beside):
        return None
    told = {name: shadow.body[name] for name in ("as_of", "by", "reason")}
    return Shadow(release=shadow.body["name"], bundle=shadow.body["release"], since=shadow.at, share=shadow.body["share"], **told)


def place(shadow: Entry) -> str:
    """Where the release is, in words."""
    share = shadow.body["share"]
    return f"a canary that answers {share:.3g} of the requests" if share else "in the shadow"


def _of(champion: Entry) -> dict[str, str]:
    named = {name: champion.body[name] for name in ("product", "environment")}
    return {**named, "champion": champion.body["release"]}


def _is_of(entry: Entry, product: str, environment: str) -> bool:
    return (entry.body["product"], entry.body["environment"]) == (product, environment)


def _running(connection: Connection, champion: Entry) -> Entry | None:
    product, environment = champion.body["product"], champion.body["environment"]
    words = [e for e in entries_where(connection, schema.entries.c.kind == "shadow") if _is_of(e, product, environment)]
    return words[-1] if words and is_beside(words[-1], champion) else None


def _refuse_unless_answering(connection: Connection, champion: Entry) -> None:
    columns = schema.pointers.c
    where = (columns.product == champion.body["product"], columns.environment == champion.body["environment"])
    moves = select(columns.seq).where(*where, columns.seq > champion.seq)
    if later := entries_where(connection, schema.entries.c.seq.in_(moves)):
        raise ShadowRefused(f"{later[-1].body['name']} answers meanwhile, not {champion.body['name']}")


def _refuse_unless_running(connection: Connection, *, started: Entry) -> None:
    words = entries_where(connection, schema.entries.c.kind == "shadow", schema.entries.c.seq > started.seq)
    if any(_is_of(each, started.body["product"], started.body["environment"]) for each in words):
        raise ShadowRefused(f"{started.body['name']} is not {place(started)} any more: that ended already")
