"""Channels against real receivers on loopback: what arrives, what a failure says, and that no secret gets out."""

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import yaml

from ml_assets.core.notices import Notice
from resources.notify import channel as channel_module
from resources.notify import email, http_post
from resources.notify.channel import Channel, NotSent
from resources.notify.channels import channels
from resources.settings import settings
from tests.support.command_line import free_port
from tests.support.notices import notice
from tests.support.sinks import Hook, MailServer, certificate, http_sink, smtp_sink

PATH = "/services/T00000000/B00000000/canaryCANARYcanaryCANARY"
PASSWORD, TOKEN, LEDGER = "canary-password", "canary-token", "canary-of-the-ledger"
CANARIES = (PATH, "canaryCANARYcanaryCANARY", PASSWORD, TOKEN, LEDGER)


def only_channel(home: Path, **section: object) -> Channel:
    """The channel that notify.yaml of the home declares."""
    (home / "notify.yaml").write_text(yaml.safe_dump({"channels": [section]}))
    environ = {"ML_ASSETS_HOME": str(home), "ML_ASSETS_LEDGER": f"postgresql://ann:{LEDGER}@db/ledger"}
    secrets = {"PASSWORD": PASSWORD, "TOKEN": TOKEN, "HOOK": str(section.get("hook", ""))}
    [channel] = channels(settings(environ), {**os.environ, **secrets})
    return channel


def slack(home: Path, address: str) -> Channel:
    (home / "hook").write_text(f"{address}{PATH}\n")
    return only_channel(home, kind="slack", url="file:hook")


def mail(home: Path, port: int, **more: object) -> Channel:
    common = {"security": "none", "sender": "ml@example.com", "to": ["ann@example.com", "bo@example.com"]}
    return only_channel(home, kind="email", host="127.0.0.1", port=port, **(common | more))


@pytest.fixture
def hook() -> Hook:
    return Hook()


@pytest.fixture
def address(hook: Hook) -> Iterator[str]:
    with http_sink(hook) as address:
        yield address


@pytest.fixture(autouse=True)
def everything_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever is logged, at any level, has no canary in it."""
    caplog.set_level(logging.DEBUG)
    yield
    assert not [canary for canary in CANARIES if canary in caplog.text]


def failure(channel: Channel, *notices: Notice) -> str:
    with pytest.raises(NotSent) as error:
        channel.send(notices or (notice(),))
    chained = [error.value, error.value.__cause__, *([] if error.value.__suppress_context__ else [error.value.__context__])]
    assert not [canary for canary in CANARIES for error in chained if canary in str(error)]
    return str(error.value)


def test_a_webhook_gets_json_and_the_same_key_when_it_is_sent_again(home: Path, hook: Hook, address: str) -> None:
    webhook = only_channel(home, kind="webhook", url=f"{address}/in", token="env:TOKEN")
    for _ in range(2):
        webhook.send([notice()])
    (path, headers, body), (_, again, _) = hook.posted
    assert (path, headers["Authorization"]) == ("/in", f"Bearer {TOKEN}")
    assert json.loads(body)["notices"][0] | {"is_over": True} == msgspec.structs.asdict(notice()) | {"is_over": True}
    assert headers["Idempotency-Key"] == again["Idempotency-Key"] == notice().key == json.loads(body)["id"]


def test_slack_gets_one_message_for_a_digest(home: Path, hook: Hook, address: str) -> None:
    slack(home, address).send([notice(1), notice(2)])
    [(path, _, body)] = hook.posted
    assert path == PATH
    assert "run 1 broke" in body.decode()
    assert "run 2 broke" in body.decode()


@pytest.mark.parametrize("status", [400, 404, 410, 429, 500, 503])
def test_a_hook_that_refuses_is_named_with_its_answer_and_no_secret(home: Path, hook: Hook, address: str, status: int) -> None:
    hook.status, hook.echo = status, True
    message = failure(slack(home, address))
    assert message.startswith(f"slack: 127.0.0.1 answered {status} (***")
    assert ("try again later" in message) == (status in (429, 500, 503))


def test_a_receiver_that_repeats_the_token_does_not_get_it_into_the_error(home: Path, hook: Hook, address: str) -> None:
    hook.status, hook.echo = 401, True
    message = failure(only_channel(home, kind="webhook", url=address, token="env:TOKEN"))
    assert "ml-assets notify --test" in message


@pytest.mark.parametrize("status", [302, 307])
def test_a_redirect_is_not_followed(home: Path, hook: Hook, address: str, status: int) -> None:
    hook.status, hook.headers = status, {"Location": f"{address}/elsewhere"}
    assert "it redirects" in failure(slack(home, address))
    assert len(hook.posted) == 1


def test_a_hook_that_does_not_answer_is_given_up(home: Path, hook: Hook, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_post, "SECONDS", 0.2)
    hook.wait = 30
    assert "slack: 127.0.0.1: no answer within 0 s" in failure(slack(home, address))


def test_a_hook_where_nothing_listens_and_a_host_that_is_not_there_are_named(home: Path) -> None:
    assert "slack: 127.0.0.1: Connection refused" in failure(slack(home, f"http://127.0.0.1:{free_port()}"))
    assert "slack: nowhere.invalid: " in failure(slack(home, "http://nowhere.invalid"))


def test_secrets_that_a_cause_repeats_are_struck_out_of_every_text(home: Path, hook: Hook, address: str) -> None:
    why = f"cannot connect to postgresql://ann:{LEDGER}@db/ledger; posting to {address}{PATH} failed"
    slack(home, address).send([notice(why=why)])
    assert not [canary for canary in CANARIES if canary in hook.posted[0][2].decode()]
    log = only_channel(home, kind="log")
    log.send([notice(why=why)])
    assert LEDGER not in (home / "logs" / "notices.log").read_text()


def test_a_mail_says_everything_and_has_the_same_id_when_it_is_sent_again(home: Path) -> None:
    server = MailServer(login=True)
    with smtp_sink(server) as port:
        channel = mail(home, port, user="ann", password="env:PASSWORD")
        channel.send([notice()])
        channel.send([notice()])
    first, again = server.mails
    assert first["Subject"] == "[error] trains 2013-02: run 1 broke"
    assert first["To"] == "ann@example.com, bo@example.com"
    assert first["Message-ID"] == again["Message-ID"] == f"<{notice().key}@example.com>"
    assert all(part in first.get_content() for part in ("because", "2013-01.0123abcd", "ml-assets run", "/runs/1"))
    assert any(line.startswith("AUTH ") for line in server.commands)


@pytest.mark.parametrize("security", ["starttls", "ssl"])
def test_mail_is_encrypted_and_only_for_a_server_with_a_trusted_certificate(
    home: Path, monkeypatch: pytest.MonkeyPatch, security: str
) -> None:
    context, trusted = certificate(home)
    server = MailServer(tls=context, is_tls_at_once=security == "ssl", login=True)
    with smtp_sink(server) as port:
        channel = mail(home, port, security=security, user="ann", password="env:PASSWORD")
        assert "certificate is refused" in failure(channel)
        assert not [line for line in server.commands if line.startswith(("AUTH", "MAIL"))]
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        channel.send([notice()])
    assert len(server.mails) == 1


def test_a_password_that_no_login_can_send_gets_into_no_error(home: Path) -> None:
    with smtp_sink(MailServer(login=True)) as port:
        message = failure(mail(home, port, user="ann", password=f"{PASSWORD}é"))
    assert "no other letters than ASCII" in message


def test_a_mail_server_without_tls_gets_no_password(home: Path) -> None:
    server = MailServer(login=True)
    with smtp_sink(server) as port:
        message = failure(mail(home, port, security="starttls", user="ann", password="env:PASSWORD"))
    assert f"email: 127.0.0.1:{port}: STARTTLS" in message
    assert "security" in message
    assert not [line for line in server.commands if line.startswith("AUTH")]


@pytest.mark.parametrize(
    ("refuses", "cause"),
    [("AUTH", "the login is refused (550)"), ("RCPT", "it refused ann@example.com, bo@example.com"), ("DATA", "it answered 550")],
)
def test_a_mail_server_that_refuses_is_named_and_its_answer_gives_no_secret_away(home: Path, refuses: str, cause: str) -> None:
    server = MailServer(login=True, refuses=refuses)
    with smtp_sink(server) as port:
        message = failure(mail(home, port, user="ann", password="env:PASSWORD"))
    assert f"email: 127.0.0.1:{port}: {cause}" in message
    [sent] = [line.split()[-1] for line in server.commands if line.startswith("AUTH PLAIN")]
    assert sent not in message


def test_a_mail_server_that_is_slow_or_away_is_given_up(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(email, "SECONDS", 0.2)
    with smtp_sink(MailServer(wait=30)) as port:
        assert "timed out" in failure(mail(home, port))
    assert "Connection refused" in failure(mail(home, free_port()))


def test_the_log_has_one_line_for_each_notice_and_says_when_it_cannot_be_written(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = only_channel(home, kind="log")
    log.send([notice(1, why="two\nlines"), notice(2)])
    lines = (home / "logs" / "notices.log").read_text().splitlines()
    assert [line.split("; ")[0] for line in lines] == [
        f"2026-11-29T06:00:00+00:00 broken [error] trains 2013-02: run {n} broke" for n in (1, 2)
    ]
    assert [record.levelname for record in caplog.records if record.name == "ml_assets.notices"] == ["ERROR"] * 2
    (home / "logs" / "notices.log").unlink()
    (home / "logs" / "notices.log").mkdir()
    assert "notices.log: Is a directory" in failure(log)


def test_no_part_of_a_channel_shows_a_secret(home: Path, address: str) -> None:
    shown = [
        repr(slack(home, address)),
        repr(mail(home, 25, user="ann", password="env:PASSWORD")),
        repr(only_channel(home, kind="webhook", url=address, token="env:TOKEN")),
    ]
    assert not [canary for canary in CANARIES if canary in str(shown)]
    assert channel_module.SECONDS == 10


def test_without_a_secret_hidden_it_would_get_out(home: Path, hook: Hook, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The receiver that repeats everything does find what the tests above look for."""
    monkeypatch.setattr(channel_module.Secrets, "hidden", lambda _, text: text)
    hook.status, hook.echo = 500, True
    with pytest.raises(NotSent, match="canaryCANARY"):
        slack(home, address).send([notice()])
