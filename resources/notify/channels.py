"""The channels of the settings, and a trial of them."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.headerregistry import Address
from pathlib import Path

from ml_assets.core.notices import Notice, cause_id
from resources.notify.channel import Channel, NotSent, Secrets, Sender
from resources.notify.configuration import (
    Configuration,
    EmailSection,
    LogSection,
    Section,
    SlackSection,
    WebhookSection,
    read_configuration,
)
from resources.notify.email import PORTS, Mailbox
from resources.notify.log import NoticesLog
from resources.notify.slack import SlackHook
from resources.notify.webhook import Webhook
from resources.settings import Settings


@dataclass(frozen=True)
class SendAttempt:
    """The delivery of one message. `error` is empty where it was sent."""

    channel: str
    kind: str
    error: str = ""


def channels(settings: Settings, environ: Mapping[str, str] | None = None) -> list[Channel]:
    """The channels of `notify.yaml`, in its order; the log alone where there is no such file. Raises NotifyRefused.

    `environ` (default `os.environ`) is what `env:NAME` in it refers to.
    """
    sections = _configuration(settings, os.environ if environ is None else environ).channels
    secrets = Secrets.of([*settings.secrets, *(text for section in sections for text in section.secrets)])
    return [_channel(section, settings.logs, secrets) for section in sections]


def send_test(selected: Sequence[Channel], at: str) -> Iterator[SendAttempt]:
    """Send a test notice by each channel, whatever it takes; `at` is the time, UTC, ISO 8601."""
    for channel in selected:
        why = "Somebody asked for it with `ml-assets notify --test`: notices reach you by this channel."
        notice = Notice(
            id=cause_id("test", "", channel.name, at),
            event="test",
            severity="info",
            product="",
            partition="",
            title=f"A test of the channel {channel.name}",
            why=why,
            serves="",
            command="ml-assets notify",
            link="",
            at=at,
        )
        try:
            channel.send([notice])
        except NotSent as error:
            yield SendAttempt(channel.name, channel.kind, str(error))
        else:
            yield SendAttempt(channel.name, channel.kind)


def _configuration(settings: Settings, environ: Mapping[str, str]) -> Configuration:
    file = Path(settings.notify) if settings.notify else settings.home / "notify.yaml"
    if not settings.notify and not file.exists():
        return Configuration(channels=(LogSection(kind="log"),))
    return read_configuration(file, environ)


def _channel(section: Section, logs: Path, secrets: Secrets) -> Channel:
    name, is_digest = section.name or section.kind, section.digest is not None
    return Channel(section.kind, name, section.events, section.least, is_digest, secrets, _sender(section, logs))


def _sender(section: Section, logs: Path) -> Sender:
    match section:
        case LogSection():
            return NoticesLog(logs / "notices.log")
        case SlackSection():
            return SlackHook(section.url.get_secret_value())
        case WebhookSection():
            return Webhook(section.url.get_secret_value(), section.token.get_secret_value())
        case EmailSection():
            return Mailbox(
                host=section.host,
                port=section.port or PORTS[section.security],
                security=section.security,
                sender=Address(addr_spec=section.sender),
                receivers=tuple(Address(addr_spec=receiver) for receiver in section.to),
                user=section.user,
                password=section.password.get_secret_value(),
            )
