"""Attempts to bring a delivery through the path: what the ledger keeps of them, and what is next for a partition. Pure.

An attempt is (partition, content, code). It begins when its run reads the delivery and ends with one of `End`; only other
content, other code or a person reopens what was refused or given up.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import msgspec

End = Literal["current", "refused", "broken", "gave up", "superseded"]
"""`broken` is tried again; the others are the end of it."""


class AttemptRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The beginning of an attempt (`end` is None) or its end. `content` and `reference` are digests of the delivered files of the
    partition and of the reference tables, `code` of all that is declared. `number` counts the partition's attempts, `tries`
    those in a row of the same key. `outcome` and `reason` say what came of its run."""

    product: str
    partition: str
    content: str
    reference: str
    code: str
    number: int
    tries: int
    run: str
    end: End | None = None
    outcome: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Attempt:
    """The newest state of a partition's newest attempt, and when it was recorded (UTC, ISO 8601)."""

    at: str
    record: AttemptRecord


@dataclass(frozen=True)
class Delivery:
    """The delivered files of a partition, and the code that would read them; `reference` is empty where a change of
    the reference tables is not a reason to read the partition again."""

    partition: str
    content: str
    reference: str
    code: str

    def is_of(self, attempt: AttemptRecord) -> bool:
        """Whether the attempt read exactly this."""
        return attempt.content == self.content and self.reference in ("", attempt.reference)


@dataclass(frozen=True)
class NextAttempt:
    """The next step for a delivery: to be launched as attempt `number`, its `tries`th in a row; or nothing, with the reason in
    words where something is waited for."""

    is_due: bool
    number: int = 0
    tries: int = 0
    waits: str = ""


def next_step(newest: Attempt | None, delivery: Delivery, *, most: int, wait: float, now: datetime) -> NextAttempt:
    """The next step. `most` retries after the first try, the first of them `wait` seconds after it broke, doubled each time."""
    if newest is None:
        return NextAttempt(is_due=True, number=1, tries=1)
    last = newest.record
    again = NextAttempt(is_due=True, number=last.number + 1, tries=1)
    if last.end is None:
        return NextAttempt(is_due=False)
    if not delivery.is_of(last) or last.end == "superseded":
        return again
    if last.end == "current":
        return NextAttempt(is_due=False)
    if last.code != delivery.code:
        return again
    if last.end != "broken" or last.tries > most:
        return NextAttempt(is_due=False)
    due = datetime.fromisoformat(newest.at) + timedelta(seconds=wait * 2 ** (last.tries - 1))
    if now < due:
        return NextAttempt(is_due=False, waits=f"{delivery.partition} broke and is tried again at {due:%H:%M:%S} UTC")
    return NextAttempt(is_due=True, number=last.number + 1, tries=last.tries + 1)
