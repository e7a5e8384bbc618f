"""A channel: which notices it takes, whether as a digest, and how they leave without a secret in them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from msgspec.structs import replace

from ml_assets.core.notices import SEVERITIES, Event, Notice, Severity
from ml_assets.errors import MlAssetsError

SECONDS = 10.0
"""How long a receiver may take for each step of an exchange."""
SHORTEST_SECRET = 4
"""A shorter one would be struck out of ordinary words."""


class NotSent(MlAssetsError):
    """A message was not sent, or the receiver did not say that it has it; names channel, host and cause, and no secret."""


class Undelivered(Exception):
    """The reason why a message was not delivered: host and cause. Never leaves the channel."""


class Sender(Protocol):
    """One kind of way to people."""

    def send(self, notices: Sequence[Notice]) -> None:
        """Deliver one message about the notices. Raises Undelivered."""


@dataclass(frozen=True)
class Secrets:
    """Texts that must not get out; the longest first, so that no part of one is left."""

    values: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, values: Iterable[str]) -> "Secrets":
        """Keep the values that are long enough to be secrets, longest first."""
        return cls(tuple(sorted({v for v in values if len(v) >= SHORTEST_SECRET}, key=len, reverse=True)))

    def hidden(self, text: str) -> str:
        """The text with *** in the place of each secret."""
        for value in self.values:
            text = text.replace(value, "***")
        return text


@dataclass(frozen=True)
class Channel:
    """`kind` and `name` are those of notify.yaml; `is_digest`: it wants what it takes once a day, in one message. It takes
    notices of `events` (none named: of all) that are at least as severe as `least`."""

    kind: str
    name: str
    events: frozenset[Event]
    least: Severity
    is_digest: bool
    secrets: Secrets
    sender: Sender

    def takes(self, notice: Notice) -> bool:
        """Whether the notice is to go out by this channel."""
        is_asked_for = not self.events or notice.event in self.events
        return is_asked_for and SEVERITIES.index(notice.severity) >= SEVERITIES.index(self.least)

    def send(self, notices: Sequence[Notice]) -> None:
        """Send one message: a notice as itself, several as a digest. Raises NotSent."""
        try:
            self.sender.send([self._without_secrets(notice) for notice in notices])
        except Undelivered as error:
            raise NotSent(self.secrets.hidden(f"{self.name}: {error}")) from None

    def _without_secrets(self, notice: Notice) -> Notice:
        hidden = self.secrets.hidden
        return replace(
            notice,
            title=hidden(notice.title),
            why=hidden(notice.why),
            serves=hidden(notice.serves),
            command=hidden(notice.command),
            link=hidden(notice.link),
        )
