"""Notices to people: what happened to a product, why, what serves now and what to do; and their texts.

Belongs here: the value, as the ledger keeps it too, its identity, plain text and JSON. Does not: Slack's layout
(`slack_message.py`), or sending (`resources/notify`).
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal, get_args

import msgspec

from ml_assets.core.digests import digest_json

Event = Literal[
    "data_refused",
    "broken",
    "withheld",
    "waiting",
    "promoted",
    "rolled_back",
    "drift",
    "value",
    "late",
    "silent",
    "unwell",
    "test",
]
Severity = Literal["info", "warning", "error"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""From the least."""
ID_LENGTH = 24


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened, or that is over; the body of its entry in the ledger.

    `id` is the digest of its cause (`cause_id`): the same cause has the same notice. `is_over`: what an earlier notice of this id
    said is resolved; `severity` is then still that of the earlier one, so that whoever got the alarm gets its end. `product` and
    `partition` are empty where it is about the machine, `serves` where no release does, `command` and `link` where there is none.
    `at` is UTC, ISO 8601.
    """

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

    @property
    def key(self) -> str:
        """Its identity for receivers: a notice, its end and the same cause a second time are different messages."""
        return digest_json([self.id, self.at, self.is_over])[:ID_LENGTH]

    @property
    def subject(self) -> str:
        """Product, partition and title on one line."""
        about = " ".join(filter(None, (self.product, self.partition)))
        return one_line(f"[{'resolved' if self.is_over else self.severity}] {f'{about}: ' if about else ''}{self.title}")

    @property
    def facts(self) -> dict[str, str]:
        """The facts below the subject, by label; those without a value are left out."""
        serves = self.serves or ("no release" if self.product else "")
        facts = {"why": self.why, "serves": serves, "next": self.command, "link": self.link, "at": self.at}
        return {label: value for label, value in facts.items() if value}


class SentRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The receiver of a channel has the notice of this entry of the ledger."""

    notice: int
    channel: str


def cause_id(event: Event, product: str, *cause: str) -> str:
    """The id of a notice: `cause` tells this one from others of its event and product, and has no time or count in it."""
    return digest_json([event, product, *cause])[:ID_LENGTH]


def message_key(notices: Sequence[Notice]) -> str:
    """The identity of one message about these notices: the same when it is sent again."""
    return notices[0].key if len(notices) == 1 else digest_json(sorted(notice.key for notice in notices))[:ID_LENGTH]


def subject(notices: Sequence[Notice]) -> str:
    """One line about all of them."""
    if len(notices) == 1:
        return notices[0].subject
    kinds = Counter("resolved" if notice.is_over else notice.severity for notice in notices)
    counts = ", ".join(f"{kinds[kind]} {kind}" for kind in (*reversed(SEVERITIES), "resolved") if kinds[kind])
    days = sorted({notice.at[:10] for notice in notices})
    return one_line(f"{len(notices)} notices of {' to '.join(dict.fromkeys((days[0], days[-1])))}: {counts}")


def plain_text(notices: Sequence[Notice]) -> str:
    """Each notice as lines of text, the worst first; several below their common subject, as a digest."""
    blocks = [_block(notice) for notice in worst_first(notices)]
    return "\n\n".join(blocks if len(notices) == 1 else [subject(notices), *blocks]) + "\n"


def log_line(notice: Notice) -> str:
    """The notice on one line, its id at the end."""
    facts = "; ".join(f"{label}: {one_line(value)}" for label, value in notice.facts.items() if label != "at")
    return f"{notice.at} {notice.event} {notice.subject}; {facts}; notice: {notice.id}"


def as_json(notices: Sequence[Notice]) -> dict[str, Any]:
    """The message for a program: `id` of the message, its subject, and the fields of each notice."""
    return {
        "version": 1,
        "id": message_key(notices),
        "subject": subject(notices),
        "notices": [msgspec.structs.asdict(notice) for notice in notices],
    }


def worst_first(notices: Sequence[Notice]) -> list[Notice]:
    """By severity, what is over last; in the order given among equals."""
    return sorted(notices, key=lambda notice: (notice.is_over, -SEVERITIES.index(notice.severity)))


def one_line(text: str) -> str:
    """The text with each run of white space and unprintable characters as one space."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _block(notice: Notice) -> str:
    lines = [f"{label:<8}{one_line(line)}" for label, value in notice.facts.items() for line in value.splitlines()]
    return "\n".join([notice.subject, *lines, f"{'notice':<8}{notice.id}"])
