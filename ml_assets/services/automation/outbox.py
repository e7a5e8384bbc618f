"""The outbox: notices are recorded in the ledger first, then sent, then noted as sent. So each goes out at least once: twice
where a kill falls between sending and noting, and then with the same id."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from ml_assets.core.notices import Event, Notice, SentRecord
from resources.ledger import tables as schema
from resources.ledger.followed_records import records_of
from resources.ledger.ledger import Ledger
from resources.notify.channel import Channel, NotSent

LASTING: frozenset[Event] = frozenset({"data_refused", "broken", "waiting", "late", "silent", "unwell", "drift", "value"})
"""The events that go on until they are over; the others happen, and that is all."""
DIGEST_HOURS = 24
TOLD_DAYS = 7
"""Events of a time without a working channel are sent this much later at most; older ones, as of an old home, are not."""


def record(ledger: Ledger, product: str, notices: Sequence[Notice]) -> list[Notice]:
    """Record the notices of a product that are new, and the end of those that are no longer so; what was recorded."""
    state = {entry.body.id: entry.body for entry in records_of(ledger, "notice", Notice, product)}
    is_new = [notice for notice in notices if notice.id not in state or _is_back(notice, state[notice.id])]
    now, ids = datetime.now(UTC).isoformat(timespec="seconds"), {notice.id for notice in notices}
    is_past = [n for n in state.values() if n.event in LASTING and not n.is_over and n.id not in ids]
    added = [*is_new, *(replace(notice, is_over=True, at=now) for notice in is_past)]
    for notice in added:
        ledger.append("notice", notice)
    return added


def send(ledger: Ledger, channels: Iterable[Channel]) -> list[str]:
    """Send each recorded notice by each channel that takes it and has not had it; why some were not sent."""
    since = (datetime.now(UTC) - timedelta(days=TOLD_DAYS)).isoformat()
    entries = ledger.records(Notice, schema.entries.c.kind == "notice", schema.entries.c.at >= since)
    if not entries:
        return []
    is_recent = (schema.entries.c.at >= since) | (schema.entries.c.seq > entries[0].seq)
    sent = ledger.records(SentRecord, schema.entries.c.kind == "sent", is_recent)
    problems = []
    for channel in channels:
        had = {entry.body.notice for entry in sent if entry.body.channel == channel.name}
        due = [(entry.seq, entry.body) for entry in entries if entry.seq not in had]
        due = [(seq, notice) for seq, notice in due if channel.takes(notice)]
        try:
            for batch in _batches(channel, due, [entry.at for entry in sent if entry.body.channel == channel.name]):
                channel.send([notice for _, notice in batch])
                for seq, _ in batch:
                    ledger.append("sent", SentRecord(notice=seq, channel=channel.name))
        except NotSent as error:
            problems.append(str(error))
    return problems


def recorded(ledger: Ledger) -> list[Notice]:
    """Every notice, oldest first."""
    return [entry.body for entry in ledger.records(Notice, schema.entries.c.kind == "notice")]


def _batches(channel: Channel, due: Sequence[tuple[int, Notice]], sent: Sequence[str]) -> Sequence[Sequence[tuple[int, Notice]]]:
    """One message each; of a digest all in one, once a day."""
    if not channel.is_digest:
        return [[notice] for notice in due]
    since = (datetime.now(UTC) - timedelta(hours=DIGEST_HOURS)).isoformat()
    return [due] if due and max(sent, default="") < since else []


def _is_back(notice: Notice, last: Notice) -> bool:
    """Whether a lasting notice was over and is current again."""
    return notice.event in LASTING and last.is_over
