"""The ledger's records of notices: each as it was, and by which channel it went out. Pure."""

import msgspec

from ml_assets.core.notices import Event, Severity


class NoticeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A notice (core.notices.Notice)."""

    id: str
    event: Event
    severity: Severity
    product: str
    partition: str
    title: str
    why: str
    serves: str
    command: str
    link: str
    at: str
    is_over: bool = False


class SentRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The receiver of a channel has the notice of this entry."""

    notice: int
    channel: str
