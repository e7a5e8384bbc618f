"""Notices to a Slack channel, or to what takes Slack's payloads (Mattermost, Rocket.Chat). The hook's URL is its only key."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ml_assets.core.notices import Notice, message_key
from ml_assets.core.slack_message import slack_message
from resources.notify.http_post import post


@dataclass(frozen=True)
class SlackHook:
    """`url`: an incoming webhook, which is a secret."""

    url: str = field(repr=False)

    def send(self, notices: Sequence[Notice]) -> None:
        """POST one message. Raises Undelivered."""
        post(self.url, slack_message(notices), headers={"Idempotency-Key": message_key(notices)})
