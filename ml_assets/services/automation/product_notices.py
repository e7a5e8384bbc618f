"""Notices about a product: computed each time from what is recorded and delivered."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from ml_assets.core.lineage.partitions import partitions_of
from ml_assets.core.notices import Event, Notice, Severity, cause_id
from ml_assets.services.automation.outbox import TOLD_DAYS
from ml_assets.services.automation.policy import evidence_of
from ml_assets.services.folds import no_fold
from ml_assets.services.judging.gate_standards import refused_gates
from ml_assets.services.next_window import next_partition, next_window
from ml_assets.services.outcomes.promises import HOLDS, VALUE_HOLDS
from ml_assets.services.release_status import release_statuses
from ml_assets.spec.partitions import DELIVERY_DIGITS
from ml_assets.spec.product import Product
from resources.landing import Landing
from resources.ledger import attempts as recorded
from resources.ledger import probations
from resources.ledger.partition_reads import partitions_with
from resources.lineage import Lineage
from resources.settings import Settings


@dataclass(frozen=True)
class Causes:
    """The notices of one product at a moment `now` (UTC)."""

    lineage: Lineage
    landing: Landing
    settings: Settings
    product: Product
    now: datetime

    def notices(self) -> list[Notice]:
        """All that is so now, and all that happened lately."""
        return [
            *self.attempts(),
            *self.moves(),
            *self.waiting(),
            *self.without_folds(),
            *self.refused_gates(),
            *self.late(),
            *self.drift(),
            *self.worth(),
            *self.promises(),
        ]

    @cached_property
    def serves(self) -> str:
        """The release that serves in production, in words; empty if none does."""
        pointer = self.lineage.ledger.pointer(self.product.name, "production")
        return f"release {pointer.body.release}, since {pointer.at[:16]} UTC" if pointer else ""

    def attempts(self) -> Iterator[Notice]:
        """Deliveries that were refused or given up, and candidates that were withheld: by each partition's newest attempt."""
        for partition, attempt in recorded.newest(self.lineage.ledger, self.product.name).items():
            last = attempt.record
            about: dict[str, Any] = {"partition": partition, "why": last.reason, "at": attempt.at, "run": last.run}
            again = f"ml-assets run {self.product.name} --partition {partition}"
            if last.end == "refused":
                title, mend = "the delivery is refused, and nothing of it is used", f"deliver it corrected, or {again}"
                yield self._notice("data_refused", "error", partition, last.content, title=title, command=mend, **about)
            elif last.end == "gave up" and last.outcome == "broken":
                title = f"the run broke {_times(last.tries)} and is not tried again"
                yield self._notice("broken", "error", partition, last.content, last.code, title=title, command=again, **about)
            elif last.end == "current" and last.outcome == "withheld":
                title, show = "the candidate is withheld", f"ml-assets report {self.product.name} --partition {partition}"
                yield self._notice("withheld", "info", partition, last.run, title=title, command=show, **about)

    def moves(self) -> Iterator[Notice]:
        """Notices of recent moves of production."""
        since = (self.now - timedelta(days=TOLD_DAYS)).isoformat()
        for entry in self.lineage.ledger.moves(self.product.name, "production", since=since):
            move, is_back = entry.body, entry.kind == "rollback"
            title = f"release {move.release} serves in production{' again: rolled back' if is_back else ''}"
            yield self._notice(
                "rolled_back" if is_back else "promoted",
                "warning" if is_back else "info",
                entry.hash,
                title=title,
                why=f"{move.reason} (by {move.by})",
                command=f"ml-assets card {move.release}",
                partition=move.as_of,
                at=entry.at,
            )

    def waiting(self) -> Iterator[Notice]:
        """Releases that wait for a person."""
        for status in release_statuses(self.lineage, self.product):
            if status.decision.action == "wait":
                yield self._notice(
                    "waiting",
                    "warning",
                    status.release.snapshot,
                    title=f"release {status.name} waits for a person",
                    why="; ".join(status.decision.reasons),
                    command=f"ml-assets approve {self.product.name} {status.name}",
                    partition=status.release.partition,
                    at=self.now.isoformat(timespec="seconds"),
                )

    def drift(self) -> Iterator[Notice]:
        """An alarm of the newest partition that is monitored; one that lasts has one notice, and the next partition its end."""
        newest = max(self.lineage.ledger.partitions(self.product.name, "monitoring"), default="")
        usual = "accept it if this is how it is from now on"
        accept = f"ml-assets accept {self.product.name} {newest} --reason …"
        clients = "look at what clients send, or train on what is asked"
        watched = (
            ("columns_stable", "the data drift", usual, accept),
            ("score_stable", "the scores drift", usual, accept),
            (
                "requests_match_training",
                "requests differ from training",
                clients,
                f"ml-assets drift {self.product.name} --served",
            ),
        )
        for claim, what, advice, command in watched if newest else ():
            evidence = evidence_of(self.lineage.ledger, self.product, newest, claim)
            if evidence is None or evidence.details.values.get("state") != "alarm":
                continue
            yield self._notice(
                "drift",
                "warning",
                claim,
                title=what,
                why=f"{evidence.details.description}; {advice}",
                command=command,
                partition=newest,
                at=self.now.isoformat(timespec="seconds"),
            )

    def worth(self) -> Iterator[Notice]:
        """The newest partition with outcomes was served worse than promised, or worth less; it is over with the next one."""
        for claim, what in (
            (HOLDS, "what served is worse than promised"),
            (VALUE_HOLDS, "what served is worth less than promised"),
        ):
            keys = partitions_with(self.lineage.ledger, self.product.name, "realised", claim)
            looks = ((key, evidence_of(self.lineage.ledger, self.product, key, claim, stage="realised")) for key in keys)
            known = ((key, look) for key, look in looks if look is not None and look.details.values)
            partition, newest = next(known, ("", None))
            if newest is not None and not newest.passed:
                yield self._notice(
                    "value",
                    "warning",
                    claim,
                    title=what,
                    why=newest.details.description,
                    command=f"ml-assets outcomes {self.product.name}",
                    partition=partition,
                    at=self.now.isoformat(timespec="seconds"),
                )

    def promises(self) -> Iterator[Notice]:
        """The promise of the release that serves is broken; it is over when another serves."""
        newest = self.lineage.ledger.pointer(self.product.name, "production")
        ended = {entry.body.promotion: entry.body for entry in probations.endings(self.lineage.ledger, self.product.name)}
        ending = ended.get(newest.hash) if newest else None
        if ending is not None and ending.outcome == "broken":
            yield self._notice(
                "value",
                "warning",
                ending.promotion,
                title=f"release {ending.release} broke its promise",
                why=ending.why,
                command=f"ml-assets rollback {self.product.name}",
                partition=ending.partitions[-1],
                at=self.now.isoformat(timespec="seconds"),
            )

    def without_folds(self) -> Iterator[Notice]:
        """A static table whose every reserve fold was a test window, and whose newest delivery opened no other: nothing of it is
        trained until new rows do, or a person decides."""
        product, ledger = self.product, self.lineage.ledger
        newest = max(ledger.partitions(product.name, "raw"), default="")
        is_last_fold = newest == f"{product.split.folds:0{DELIVERY_DIGITS}}"
        if next_partition(ledger, product) is None and (is_last_fold or no_fold(ledger, product, newest)):
            yield self._notice(
                "waiting",
                "warning",
                f"folds {product.split.folds}",
                title="no further candidate is trained",
                why=next_window(ledger, product),
                command=f"ml-assets status {product.name}",
                partition=newest,
                at=self.now.isoformat(timespec="seconds"),
            )

    def refused_gates(self) -> Iterator[Notice]:
        """The gates keep no minimal standard by what their own verdicts showed: no run of the path begins until they do."""
        if refusal := refused_gates(self.lineage.ledger, self.product):
            yield self._notice(
                "waiting",
                "error",
                "gates",
                title="no run begins by these gates",
                why=refusal,
                command=f"ml-assets plan {self.product.name}",
                partition="",
                at=self.now.isoformat(timespec="seconds"),
            )

    def late(self) -> Iterator[Notice]:
        """The newest partition that should have come by the product's own calendar, and did not. It is one cause until nothing is
        late any more, however many partitions are due by then and whatever older one comes in."""
        hours, calendar = self.product.landing.late, partitions_of(self.product)
        if hours is None:
            return
        due = calendar.shift(calendar.key_of((self.now - timedelta(hours=hours)).replace(tzinfo=None)), -1)
        expected = min(due, calendar.shift(calendar.end, -1)) if calendar.end else due
        come = {*self.landing.delivered(self.product), *self.lineage.ledger.partitions(self.product.name, "raw")}
        newest = max(come, default="")
        if expected < calendar.start or newest >= expected:
            return
        end = calendar.window(expected)[1]
        yield self._notice(
            "late",
            "warning",
            title=f"{expected} is not delivered",
            why=f"it ended {end:%Y-%m-%d %H:%M} UTC; landing.late allows {hours:g} h; the newest delivered is {newest or 'none'}",
            command=f"deliver it to {self.landing.place(self.product)}",
            partition=expected,
            at=self.now.isoformat(timespec="seconds"),
        )

    def _notice(self, event: Event, severity: Severity, *cause: str, run: str = "", **words: Any) -> Notice:
        """`words` are the title, why, command, partition and time of a notice."""
        dagster, product = self.settings.dagster_url.rstrip("/"), self.product.name
        link = f"{dagster}/runs/{run}" if dagster and run else dagster
        id = cause_id(event, product, *cause)
        return Notice(id=id, event=event, severity=severity, product=product, serves=self.serves, link=link, **words)


def causes(lineage: Lineage, landing: Landing, settings: Settings, product: Product) -> list[Notice]:
    """The notices of a product as of now."""
    return Causes(lineage, landing, settings, product, datetime.now(UTC)).notices()


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
