"""notify.yaml: what it declares, what each mistake says, and the command that tries the channels."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ml_assets.cli import cli
from resources.notify.channel import Channel
from resources.notify.channels import channels
from resources.notify.configuration import NotifyRefused
from resources.settings import settings
from tests.support.notices import notice
from tests.support.sinks import Hook, http_sink

MAIL = "{kind: email, host: h, sender: a@b.c, to: [d@e.f]%s}"


def declared(home: Path, *lines: str, environ: dict[str, str] | None = None) -> list[Channel]:
    (home / "notify.yaml").write_text("\n".join(["channels:", *(f"  - {line}" for line in lines)]))
    return channels(settings({"ML_ASSETS_HOME": str(home)}), environ or {})


def test_without_a_file_there_is_the_log(home: Path) -> None:
    [log] = channels(settings({"ML_ASSETS_HOME": str(home)}), {})
    assert (log.kind, log.name, log.is_digest) == ("log", "log", False)
    assert log.takes(notice())


def test_a_file_that_is_named_has_to_be_there(home: Path) -> None:
    with pytest.raises(NotifyRefused, match=r"other\.yaml:1: cannot be read: No such file"):
        channels(settings({"ML_ASSETS_HOME": str(home), "ML_ASSETS_NOTIFY": str(home / "other.yaml")}), {})


def test_channels_take_what_they_ask_for(home: Path) -> None:
    every, broken, severe, daily = declared(
        home,
        "{kind: log}",
        "{kind: log, name: broken, events: [broken, late]}",
        "{kind: slack, url: 'env:HOOK', least: warning}",
        MAIL % ", digest: daily, events: [promoted], least: error",
        environ={"HOOK": "https://hooks.example/x"},
    )
    assert every.takes(notice())
    assert broken.takes(notice())
    assert severe.takes(notice())
    assert not daily.takes(notice())
    assert [channel.is_digest for channel in (every, broken, severe, daily)] == [False, False, False, True]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{kind: slak}", "2: channels[0]: kind: 'slak' is not known; did you mean 'slack'? allowed: email, log, slack, webhook"),
        ("{kind: slack}", "2: channels[0].url: the key is missing; its section takes: digest, events, kind, least, name, url"),
        ("{kind: log, lest: error}", "2: channels[0].lest: unknown key; did you mean 'least'?"),
        ("{kind: log, least: urgent}", "2: channels[0].least: input should be 'info', 'warning' or 'error'"),
        ("{kind: log, events: [brokn]}", "2: channels[0].events[0]: input should be 'data_refused', 'broken'"),
        ("{kind: slack, url: hooks.example/canary}", "2: channels[0].url: is not an address such as https://"),
        ("{kind: slack, url: 'https://hooks.example:x/canary'}", "2: channels[0].url: is not an address"),
        ("{kind: webhook, url: 'https://ann:canary@hooks.example/'}", "2: channels[0].url: is not an address"),
        ("{kind: slack, url: 'env:NOWHERE'}", "2: channels[0].url: the variable NOWHERE is not set; set it"),
        ("{kind: slack, url: 'file:nowhere'}", "2: channels[0].url: the file nowhere cannot be read: No such file"),
        ("{kind: slack, url: 'https://hooks.example/canary\u00e9'}", "2: channels[0].url: is not an address"),
        ("{kind: webhook, url: 'https://hooks.example', token: 'canary two'}", "2: channels[0].token: is not a token"),
        ("{kind: slack, url: [canary]}", "2: channels[0].url: input should be a valid string"),
        (MAIL % ", port: 99999", "2: channels[0].port: input should be less than or equal to 65535"),
        ("{kind: email, host: h, sender: canary, to: [d@e.f]}", "2: channels[0].sender: is not an e-mail address"),
        ("{kind: email, host: h, sender: a@b.c, to: []}", "2: channels[0].to: tuple should have at least 1 item"),
        ("{kind: log}\n  - {kind: log}", "1: channels: log is there twice; give each channel a name of its own"),
    ],
)
def test_a_mistake_is_named_with_file_line_and_cure_and_no_value(home: Path, line: str, message: str) -> None:
    with pytest.raises(NotifyRefused) as error:
        declared(home, line)
    assert f"{home}/notify.yaml:{message}" in str(error.value)
    assert "canary" not in str(error.value)


def notify(home: Path, *args: str) -> Result:
    return CliRunner().invoke(cli, ["notify", *args], env={"ML_ASSETS_HOME": str(home), "ML_ASSETS_NOTIFY": ""})


def test_the_command_lists_the_channels(home: Path) -> None:
    declared(home, "{kind: log}", MAIL % ", least: warning, events: [late], digest: daily")
    assert notify(home).output.splitlines() == [
        "log                  every event",
        "email                late, at least warning, once a day",
    ]


def test_the_command_tries_each_channel_and_fails_where_one_does(home: Path) -> None:
    hook = Hook()
    with http_sink(hook) as address:
        declared(home, "{kind: log}", f"{{kind: webhook, url: '{address}', events: [late]}}")
        fine = notify(home, "--test")
        assert (fine.exit_code, fine.output) == (0, "log: sent\nwebhook: sent\n")
        assert json.loads(hook.posted[0][2])["notices"][0]["event"] == "test"
        hook.status = 500
        failed = notify(home, "--test", "--json")
        assert failed.exit_code == 1
        log, webhook = json.loads(failed.output)
        assert (log["error"], webhook["channel"]) == ("", "webhook")
        assert webhook["error"] == "webhook: 127.0.0.1 answered 500 (ok); try again later"
        assert notify(home, "--test", "--channel", "log").exit_code == 0
    unknown = notify(home, "--channel", "sms")
    assert "there is no channel 'sms'; there are: log, webhook" in str(unknown.exception)
