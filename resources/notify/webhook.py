"""Notices as JSON to any receiver; the header Idempotency-Key lets it drop what it has already."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ml_assets.core.notices import Notice, as_json, message_key
from resources.notify.http_post import post


@dataclass(frozen=True)
class Webhook:
    """`token` is sent as a bearer token."""

    url: str = field(repr=False)
    token: str = field(default="", repr=False)

    def send(self, notices: Sequence[Notice]) -> None:
        """POST one JSON object (`as_json`). Raises Undelivered."""
        authorization = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        post(self.url, as_json(notices), headers={"Idempotency-Key": message_key(notices), **authorization})
