"""What notices are sent to, on loopback: a receiver of POST requests and a mail server. Both can also refuse and be slow."""

import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass
class Hook:
    """Keeps what is posted. `echo`: it answers with all that it was sent; `wait`: seconds before it answers."""

    status: int = 200
    wait: float = 0.0
    echo: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    posted: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def answer(self, request: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        self.posted.append((request, headers, body))
        self.over.wait(self.wait)
        reply = f"{request} {headers} {body.decode()}" if self.echo else "ok"
        return self.status, self.headers, reply.encode()


@contextmanager
def http_sink(hook: Hook) -> Iterator[str]:
    """Its address, without a path."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, headers, reply = hook.answer(self.path, dict(self.headers.items()), body)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(reply)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    with _served(ThreadingHTTPServer(("127.0.0.1", 0), Handler), hook.over) as port:
        yield f"http://127.0.0.1:{port}"


@dataclass
class MailServer:
    """Keeps what is mailed. `refuses`: a command, such as RCPT, that it answers with 550 and a repetition of all it was sent."""

    tls: ssl.SSLContext | None = None
    is_tls_at_once: bool = False
    login: bool = False
    refuses: str = ""
    wait: float = 0.0
    mails: list[EmailMessage] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def features(self, is_secure: bool) -> list[str]:
        offered = ["STARTTLS"] if self.tls and not is_secure else []
        return ["sink", *offered, *(["AUTH PLAIN LOGIN"] if self.login else []), "8BITMIME"]


@contextmanager
def smtp_sink(server: MailServer) -> Iterator[int]:
    """Its port on 127.0.0.1."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.is_secure = False
            server.over.wait(server.wait)
            if server.tls and server.is_tls_at_once:
                self.secure()
            self.stream = self.request.makefile("rb")
            self.say("220 sink")
            while line := self.stream.readline().decode().strip():
                server.commands.append(line)
                if not self.obey(line.upper().split()[0], line):
                    return

        def finish(self) -> None:
            self.request.close()

        def obey(self, verb: str, line: str) -> bool:
            if verb == server.refuses:
                self.say(f"550 no: {' '.join(server.commands)}")
            elif verb == "EHLO":
                *first, last = server.features(self.is_secure)
                self.say(*(f"250-{feature}" for feature in first), f"250 {last}")
            elif verb == "STARTTLS":
                self.say("220 go on")
                self.secure()
                self.stream = self.request.makefile("rb")
            elif verb == "AUTH":
                self.say("235 welcome")
            elif verb == "DATA":
                self.say("354 go on")
                self.receive()
            else:
                self.say("221 bye" if verb == "QUIT" else "250 ok")
            return verb != "QUIT"

        def receive(self) -> None:
            lines = []
            while (line := self.stream.readline()) not in (b".\r\n", b""):
                lines.append(line)
            mail = message_from_bytes(b"".join(lines), policy=policy.default)
            assert isinstance(mail, EmailMessage)
            server.mails.append(mail)
            self.say("250 taken")

        def secure(self) -> None:
            assert server.tls is not None
            self.request = server.tls.wrap_socket(self.request, server_side=True)
            self.is_secure = True

        def say(self, *lines: str) -> None:
            self.request.sendall("".join(f"{line}\r\n" for line in lines).encode())

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that breaks off, such as at a certificate, is what some tests want."""

    with _served(Server(("127.0.0.1", 0), Handler), server.over) as port:
        yield port


@contextmanager
def _served(server: socketserver.TCPServer, over: threading.Event) -> Iterator[int]:
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        over.set()
        server.shutdown()
        server.server_close()


def certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """What a server on 127.0.0.1 encrypts with, and the file that makes a client trust it."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sink")])
    now = datetime.now(UTC)
    sign = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "certificate.pem", folder / "key.pem"
    public.write_bytes(sign.public_bytes(serialization.Encoding.PEM))
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    private.write_bytes(key.private_bytes(*plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return context, public
