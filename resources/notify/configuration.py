"""notify.yaml: the channels, checked, with references to secrets resolved.

A message about a mistake repeats no value of the file: it may be a secret.
"""

from base64 import b64encode
from collections.abc import Mapping
from email.errors import HeaderParseError
from email.headerregistry import Address
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationInfo, field_validator

from ml_assets.core.notices import Event, Severity
from ml_assets.errors import MlAssetsError
from ml_assets.spec.yaml_file import SpecFileProblems, read_model
from resources.notify.email import Security

LONG_PIECE = 16
"""A part of an address that is this long may be a key; a shorter one is a word."""


class NotifyRefused(MlAssetsError):
    """notify.yaml has mistakes: each with file, line and what to do."""


def _resolved(value: Any, info: ValidationInfo) -> Any:
    """The value of `env:NAME` or `file:PATH` (relative to notify.yaml); any other value is itself."""
    kind, _, name = value.partition(":") if isinstance(value, str) else ("", "", "")
    context: Mapping[str, Any] = info.context or {}
    if kind == "env":
        if not (secret := context["environ"].get(name)):
            raise ValueError(f"the variable {name} is not set; set it where this process is started, or use file:PATH")
        return secret
    if kind == "file":
        try:
            secret = (context["folder"] / name).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"the file {name} cannot be read: {getattr(error, 'strerror', None) or 'it is not text'}") from None
        if not secret:
            raise ValueError(f"the file {name} is empty; write the secret into it")
        return secret
    return value


def _address(value: Any) -> Any:
    """An e-mail address. Raises ValueError."""
    try:
        parsed = Address(addr_spec=value) if isinstance(value, str) else None
    except (ValueError, HeaderParseError, IndexError):
        parsed = None
    if parsed is None or not parsed.domain or not parsed.username:
        raise ValueError("is not an e-mail address such as ann@example.com")
    return value


def _is_one_word(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text


Text = Annotated[str, BeforeValidator(_resolved)]
Secret = Annotated[SecretStr, BeforeValidator(_resolved)]
EmailAddress = Annotated[str, BeforeValidator(_address), BeforeValidator(_resolved)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ChannelSection(_Section):
    """The settings that every kind of channel takes. Without `events` it gets all of them."""

    name: str = ""
    events: frozenset[Event] = frozenset()
    least: Severity = "info"
    digest: Literal["daily"] | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that must not get out."""
        return ()


class LogSection(ChannelSection):
    """Lines in `logs/notices.log` of the home."""

    kind: Literal["log"]


class _HookSection(ChannelSection):
    url: Secret

    @property
    def secrets(self) -> tuple[str, ...]:
        """The address, and what a receiver may repeat of it."""
        url = self.url.get_secret_value()
        parts = urlsplit(url)
        pieces = [piece for piece in (parts.path, *parts.path.split("/")) if len(piece) >= LONG_PIECE]
        return (url, parts.query, parts.password or "", *pieces)

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: SecretStr) -> SecretStr:
        try:
            parts = urlsplit(url.get_secret_value())
            is_one = (
                parts.scheme in ("http", "https")
                and parts.hostname
                and "@" not in parts.netloc
                and (parts.port is None or parts.port > 0)
            )
        except ValueError:
            is_one = False
        if not is_one or not _is_one_word(url.get_secret_value()):
            raise ValueError("is not an address such as https://host/path, without a user in it; or env:NAME or file:PATH of one")
        return url


class SlackSection(_HookSection):
    """An incoming webhook."""

    kind: Literal["slack"]


class WebhookSection(_HookSection):
    """Any receiver of JSON; `token` is sent as a bearer token."""

    kind: Literal["webhook"]
    token: Secret = SecretStr("")

    @field_validator("token")
    @classmethod
    def _is_a_token(cls, token: SecretStr) -> SecretStr:
        if not _is_one_word(token.get_secret_value()):
            raise ValueError("is not a token: it has a space, a line's end or another letter than ASCII in it")
        return token

    @property
    def secrets(self) -> tuple[str, ...]:
        """Those of the address, and the token."""
        return (*super().secrets, self.token.get_secret_value())


class EmailSection(ChannelSection):
    """An SMTP server, and who writes to whom."""

    kind: Literal["email"]
    host: Text
    port: int | None = Field(default=None, ge=1, le=65535)
    security: Security = "starttls"
    user: Text = ""
    password: Secret = SecretStr("")
    sender: EmailAddress
    to: tuple[EmailAddress, ...] = Field(min_length=1)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The password, as it is and as a login sends it."""
        password = self.password.get_secret_value()
        sent = [b64encode(text.encode()).decode() for text in (password, f"\0{self.user}\0{password}")] if password else []
        return (password, *sent)


Section = LogSection | SlackSection | WebhookSection | EmailSection


class Configuration(_Section):
    """notify.yaml."""

    channels: tuple[Annotated[Section, Field(discriminator="kind")], ...]

    @field_validator("channels")
    @classmethod
    def _names_differ(cls, channels: tuple[Section, ...]) -> tuple[Section, ...]:
        names = [channel.name or channel.kind for channel in channels]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"{', '.join(twice)} is there twice; give each channel a name of its own")
        return channels


def read_configuration(file: Path, environ: Mapping[str, str]) -> Configuration:
    """The file's channels. Raises NotifyRefused."""
    try:
        return read_model(file, Configuration, context={"environ": environ, "folder": file.parent})
    except SpecFileProblems as problems:
        raise NotifyRefused(str(problems)) from None
