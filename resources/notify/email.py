"""Notices by e-mail, over SMTP. The Message-ID is made from the message's key: mail programs show a repeated one once."""

import smtplib
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.headerregistry import Address
from email.message import EmailMessage
from typing import Literal

from ml_assets.core.notices import Notice, message_key, plain_text, subject
from resources.notify.channel import SECONDS, Undelivered

Security = Literal["starttls", "ssl", "none"]
PORTS: dict[Security, int] = {"starttls": 587, "ssl": 465, "none": 25}
LONGEST_SUBJECT = 200


@dataclass(frozen=True, kw_only=True)
class Mailbox:
    """`security`: TLS from the first byte (`ssl`), after STARTTLS, or none. Without `user` there is no login."""

    host: str
    port: int
    security: Security
    sender: Address
    receivers: tuple[Address, ...]
    user: str = ""
    password: str = field(default="", repr=False)

    def send(self, notices: Sequence[Notice]) -> None:
        """Hand one e-mail to the server; every receiver has to be accepted. Raises Undelivered."""
        message = self._message(notices)
        try:
            with self._connected() as server:
                if self.user:
                    server.login(self.user, self.password)
                if refused := server.send_message(message):
                    raise smtplib.SMTPRecipientsRefused(refused)
        except (smtplib.SMTPException, OSError, UnicodeError) as error:
            raise Undelivered(f"{self.host}:{self.port}: {_cause(error)}") from None

    def _message(self, notices: Sequence[Notice]) -> EmailMessage:
        message = EmailMessage()
        message["Subject"] = subject(notices)[:LONGEST_SUBJECT]
        message["From"], message["To"] = self.sender, self.receivers
        message["Message-ID"] = f"<{message_key(notices)}@{self.sender.domain}>"
        message["Auto-Submitted"] = "auto-generated"  # no one's holiday notice answers it
        message.set_content(plain_text(notices))
        return message

    def _connected(self) -> smtplib.SMTP:
        if self.security == "ssl":
            return smtplib.SMTP_SSL(self.host, self.port, timeout=SECONDS, context=ssl.create_default_context())
        server = smtplib.SMTP(self.host, self.port, timeout=SECONDS)
        if self.security == "starttls":
            try:
                server.starttls(context=ssl.create_default_context())
            except BaseException:
                server.close()
                raise
        return server


def _cause(error: Exception) -> str:
    """The reason, without the server's text about a login: it may repeat what was sent."""
    match error:
        case smtplib.SMTPAuthenticationError():
            return f"the login is refused ({error.smtp_code}); check `user` and `password` in notify.yaml"
        case smtplib.SMTPNotSupportedError():
            return f"{error} set `security` and `user` in notify.yaml to what it offers"
        case smtplib.SMTPRecipientsRefused():
            return f"it refused {', '.join(sorted(error.recipients))}; check `to` in notify.yaml"
        case smtplib.SMTPResponseException():
            return f"it answered {error.smtp_code} {_decoded(error.smtp_error)}; try again later"
        case ssl.SSLCertVerificationError():
            return f"its certificate is refused: {error.verify_message}"
        case smtplib.SMTPServerDisconnected():
            return f"{error}; check `host`, `port` and `security` in notify.yaml"
        case TimeoutError():
            return f"no answer within {SECONDS:.0f} s; check `host`, `port` and `security` in notify.yaml"
        case UnicodeError():
            return "it takes no other letters than ASCII; check `user` and `password` in notify.yaml"
        case socket.gaierror():
            return "there is no such host; check `host` in notify.yaml"
        case OSError(strerror=str() as reason):
            return f"{reason}; check `host`, `port` and `security` in notify.yaml"
    return f"{type(error).__name__}; see whether it is up, then `ml-assets notify --test`"


def _decoded(reply: bytes | str) -> str:
    text = reply.decode(errors="replace") if isinstance(reply, bytes) else reply
    return "".join(c if c.isprintable() else " " for c in text)[:LONGEST_SUBJECT]
