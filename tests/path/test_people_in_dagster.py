"""In Dagster, whoever the proxy let in decides; what a client sends itself, types or copies decides nothing."""

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import dagster as dg
import pytest

from resources.dagster_instance import open_instance
from resources.logins.proxy import SECRET_HEADER
from resources.logins.run_tags import PERSON_TAG, SIGNATURE_TAG, signed_tags
from tests.path.test_people import declared
from tests.support.browser import webserver
from tests.support.homes.people_home import SECOND, People, people, waiting

__all__ = ["declared", "people", "waiting"]
SECRET = "correct horse battery staple"
LAUNCH = """
mutation Launch($given: ExecutionParams!) {
  launchRun(executionParams: $given) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}
"""


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ML_ASSETS_PROXY_SECRET", SECRET)


def config(at: People, **more: str) -> dict[str, str]:
    return {"release": at.release, "reason": "fine", **more}


def test_the_launchpads_by_is_passed_over_for_who_launched_the_run(declared: People) -> None:
    run = str(uuid4())
    tags = signed_tags("ana", run=run, secret=SECRET)
    assert declared.job("approve", config(declared, by="ben"), tags=tags, run=run) == ""
    (approval,) = declared.entries("approval")
    assert (approval.body["by"], approval.body["proof"], approval.body["via"]) == ("ana", f"login, run {run}", "dagster")


def test_a_typed_name_a_copied_signature_and_an_edited_tag_are_refused_and_recorded(declared: People) -> None:
    run = str(uuid4())
    tags = signed_tags("ana", run=run, secret=SECRET)
    typed = declared.job("approve", config(declared, by="ana"))
    assert "'ana' is a name that was typed; decide with a key of your own" in typed
    assert "or in Dagster behind the proxy" in typed
    assert "nobody is known" not in typed
    for forged in (tags, {**tags, PERSON_TAG: "ben"}, {PERSON_TAG: "ana", SIGNATURE_TAG: ""}):
        message = declared.job("approve", config(declared), tags=forged)
        assert "is not signed for this run: it was typed, or copied from another one; log in at the proxy" in message
    overriding = declared.job(
        "override", {"partition": SECOND, "reason": "so", "by": "cleo"}, tags=signed_tags("cleo", run="x", secret=SECRET)
    )
    assert "is not signed for this run" in overriding
    back = declared.job("rollback", {"reason": "so", "by": "ana"})
    assert "under people.rollback who may do this" in back
    assert declared.entries("approval") == declared.entries("override") == declared.entries("rollback") == []
    assert [entry.body["by"] for entry in declared.entries("refusal")] == ["ana", "ana", "ben", "ana", "cleo", "ana"]


def test_a_login_of_somebody_who_is_not_named_decides_nothing(declared: People) -> None:
    run = str(uuid4())
    message = declared.job("approve", config(declared), tags=signed_tags("mallory", run=run, secret=SECRET), run=run)
    assert f"mallory (login, run {run}) may not do this; product.yaml names under people.approve: ana, ben" in message


def test_what_was_signed_counts_nowhere_without_the_secret(declared: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ML_ASSETS_PROXY_SECRET")
    run = str(uuid4())
    message = declared.job("approve", config(declared), tags=signed_tags("ana", run=run, secret=SECRET), run=run)
    assert "set ML_ASSETS_PROXY_SECRET, as the webserver has it, where runs are executed" in message
    assert declared.entries("approval") == []


class Launchpad:
    """A webserver with the home's products, asked as a browser or a proxy asks it."""

    def __init__(self, at: People, url: str) -> None:
        self.at, self.url = at, url

    def launch(self, headers: dict[str, str], tags: dict[str, str] | None = None, *, host: str = "127.0.0.1") -> dict[str, Any]:
        """Launch the job that approves, whose `by` says ben; Dagster's answer."""
        given = {
            "selector": {"repositoryLocationName": "ml_assets", "repositoryName": "__repository__", "jobName": "flights_approve"},
            "runConfigData": {"ops": {"flights__record_approval": {"config": config(self.at, by="ben")}}},
            "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in (tags or {}).items()]},
        }
        body = json.dumps({"query": LAUNCH, "variables": {"given": given}}).encode()
        url = f"{self.url.replace('127.0.0.1', host)}/graphql"
        request = urllib.request.Request(url, body, {"content-type": "application/json", **headers}, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                text = response.read()
        except urllib.error.HTTPError as error:
            text = error.read()
        return dict(json.loads(text)["data"]["launchRun"])

    def queued(self, headers: dict[str, str], tags: dict[str, str] | None = None) -> dg.DagsterRun:
        """Launch it, and return the run that waits in the queue."""
        answer = self.launch(headers, tags)
        assert answer["__typename"] == "LaunchRunSuccess", answer
        with open_instance(self.at.home.space.settings) as instance:
            run = instance.get_run_by_id(answer["run"]["runId"])
        assert run is not None
        return run

    def outcome(self, run: dg.DagsterRun) -> str:
        """Run what was queued; what it raised, or nothing."""
        return self.at.job("approve", config(self.at, by="ben"), tags=run.tags, run=run.run_id)


@contextmanager
def launchpad(at: People) -> Iterator[Launchpad]:
    environ = at.home.space.settings.environ() | {"ML_ASSETS_PROXY_SECRET": SECRET, "FORWARDED_ALLOW_IPS": ""}
    with open_instance(at.home.space.settings):
        pass
    environ |= {"DAGSTER_HOME": str(at.home.space.settings.dagster_home)}
    with webserver(environ, at.home.folder / "webserver.log", host="0.0.0.0") as url:
        yield Launchpad(at, url)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_forgeries_over_http_are_refused_and_the_proxys_login_decides(declared: People) -> None:
    proxied = {"X-Forwarded-User": "ana", SECRET_HEADER: SECRET}
    with launchpad(declared) as dagster:
        for headers, why in (
            ({"X-Forwarded-User": "ana"}, "with no secret of a proxy"),
            ({"X-Forwarded-User": "ana", SECRET_HEADER: "guessed"}, "with a wrong secret of a proxy"),
        ):
            answer = dagster.launch(headers)
            assert answer["__typename"] == "PythonError"
            assert why in answer["message"]
        elsewhere = own_address()
        for more in ({}, {"X-Forwarded-For": "127.0.0.1"}):
            answer = dagster.launch({**proxied, **more}, host=elsewhere)
            assert f"a request from {elsewhere} says" in answer["message"]
            assert "logins are taken from a proxy on this machine alone" in answer["message"]

        assert "is a name that was typed" in dagster.outcome(dagster.queued({}))
        ours = dagster.queued(proxied)
        copied = {name: ours.tags[name] for name in (PERSON_TAG, SIGNATURE_TAG)}
        forged = dagster.queued({}, copied)
        assert {name: forged.tags[name] for name in copied} == copied
        assert "is not signed for this run" in dagster.outcome(forged)
        assert declared.entries("approval") == []

        assert dagster.outcome(ours) == ""
        second = dagster.queued({**proxied, "X-Forwarded-User": "ben"}, copied)
        assert second.tags[PERSON_TAG] == "ben", "what the client sent is replaced"
        assert dagster.outcome(second) == ""
    assert [entry.body["by"] for entry in declared.entries("approval")] == ["ana", "ben"]


def own_address() -> str:
    """An address of this machine that is not the loopback's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing
        return str(probe.getsockname()[0])
