"""The first answers for a person on call: the release that serves, since when and why, the outcome of the newest partition,
what is wrong, what is stale, and what to do next."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from ml_assets.core.lineage.planning import Item
from ml_assets.core.notices import Notice, worst_first
from ml_assets.services.automation.outbox import LASTING
from ml_assets.services.automation.product_notices import causes
from ml_assets.services.judging.gate_standards import gate_breaches
from ml_assets.services.judging.kept_candidate_text import kept_next
from ml_assets.services.next_window import next_window
from ml_assets.services.planning.plan import make_plan, tell
from ml_assets.spec.product import Product
from resources.endpoints.moves import last_move_before
from resources.landing import Landing
from resources.ledger import attempts as recorded
from resources.ledger.triggers import frozen
from resources.lineage import Lineage
from resources.settings import Settings

MOST_CAUSES = 3


@dataclass(frozen=True)
class OnCall:
    """`serves`, `newest`, `stale`: in words, empty where there is nothing to say; `troubles`: what goes on until somebody acts;
    `commands`: what to do next, most urgent first; `kept`: the candidate that is kept; `gates`: what the history says against the
    gates."""

    serves: str
    newest: str
    waits_for: str
    frozen: str
    troubles: Sequence[Notice]
    stale: str
    commands: Sequence[str]
    kept: str = ""
    gates: Sequence[str] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        return fields

    def lines(self) -> list[str]:
        """The screen, one fact a line with its name before it."""
        rows = [("serves", self.serves or "no release serves in production")]
        rows += [("newest", self.newest or "no partition was read yet")]
        texts = (("waits for", self.waits_for), ("kept", self.kept), ("frozen", self.frozen))
        rows += [(name, text) for name, text in texts if text]
        rows += [("gates", breach) for breach in self.gates]
        rows += [("trouble", f"{notice.subject}: {notice.why}") for notice in self.troubles] or [("trouble", "none")]
        rows += [("stale", self.stale or "nothing")]
        rows += [("next", command) for command in self.commands]
        return [f"{name:<10} {text}" for name, text in rows]


def on_call(lineage: Lineage, landing: Landing, settings: Settings, product: Product) -> OnCall:
    """The state of a product now."""
    ledger = lineage.ledger
    troubles = worst_first([n for n in causes(lineage, landing, settings, product) if n.event in LASTING])
    keys = ledger.partitions(product.name, "raw")
    newest, is_withheld = _newest(lineage, product, max(keys, default=""))
    items = make_plan(lineage, landing, product, cache=settings.cache)
    commands = [notice.command for notice in troubles]
    commands += [f"ml-assets report {product.name} --partition {max(keys)} --output build/report"] if is_withheld else []
    commands += [f"ml-assets plan {product.name}"] if items else []
    return OnCall(
        serves=_serves(lineage, product),
        newest=newest,
        waits_for=next_window(ledger, product) if is_withheld else "",
        frozen=frozen(ledger, product.name, datetime.now(UTC)),
        troubles=troubles,
        stale=_stale(lineage, product, items),
        commands=list(dict.fromkeys(commands)),
        kept=kept_next(lineage, product),
        gates=gate_breaches(ledger, product),
    )


def _serves(lineage: Lineage, product: Product) -> str:
    entry = lineage.ledger.pointer(product.name, "production")
    if entry is None:
        return ""
    move, before = entry.body, last_move_before(lineage.ledger, product.name, "production", entry.seq)
    earlier = f"; before it {before.release}" if before else ""
    return (
        f"release {move.release} in production since {entry.at[:16].replace('T', ' ')} UTC: {move.reason} (by {move.by}){earlier}"
    )


def _newest(lineage: Lineage, product: Product, key: str) -> tuple[str, bool]:
    """The outcome of a partition in words, and whether its candidate was withheld."""
    attempt = recorded.newest(lineage.ledger, product.name, [key]).get(key) if key else None
    if attempt is None:
        return key, False
    last = attempt.record
    outcome = last.outcome if last.end == "current" else last.end or "under way"
    summary = f"{outcome}: {last.reason}" if last.reason and not last.reason.startswith(outcome) else last.reason or outcome
    return f"{key}: {summary}", outcome == "withheld"


def _stale(lineage: Lineage, product: Product, items: Sequence[Item]) -> str:
    """The number of stale snapshots and why, in short; `ml-assets plan` has all of it."""
    if not items:
        return ""
    causes = dict.fromkeys(cause for item in items for cause in item.causes)
    declared: dict[str, list[str]] = {}
    for cause in causes:
        if cause.kind in ("code", "config", "environment"):
            declared.setdefault(cause.kind, []).append(cause.stage)
    words = [f"{kind} of {', '.join(stages)} changed" for kind, stages in declared.items()]
    words += [tell(lineage.ledger, product, cause) for cause in causes if cause.kind not in declared]
    more = f" and {len(words) - MOST_CAUSES} more reasons" if len(words) > MOST_CAUSES else ""
    partitions = len({item.partition for item in items} - {""})
    return f"{len(items)} snapshots of {partitions} partitions are not current: {'; '.join(words[:MOST_CAUSES])}{more}"
