"""Where a product declares people, only they decide, by what shows who they are; whatever is forged is refused and recorded."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner, Result

from ml_assets.cli import cli
from ml_assets.core.release.identity import Identity
from ml_assets.services.people.keys import NotKnown, add, asked_by, remove
from ml_assets.services.people.permission import NotPermitted
from ml_assets.services.release_status import waiting as who_waits
from resources.ledger.decisions import DecisionRefused
from resources.logins.run_tags import PERSON_TAG, asker_of
from resources.tracking import registry
from sensors.registry import reconcile
from tests.support.homes.people_home import SECOND, People, command, json_of, people, waiting

__all__ = ["command", "people", "waiting"]
Command = Callable[..., Result]
DECLARED = (r"\nendpoint:", "\npeople:\n  approve: [ana, ben]\n  override: [cleo]\n  freeze: [ana]\n  recall: [ana]\nendpoint:")
TODAY = datetime.now(UTC).date()
LATER = TODAY + timedelta(days=30)


@pytest.fixture
def declared(people: People) -> People:
    """The home with a release that waits for two people, whose product now declares people."""
    people.home.edit("product.yaml", DECLARED)
    return people


def key(at: People, person: str) -> str:
    return add(at.home.space.settings.people_keys, person, LATER)[0]


def approved(at: People, command: Command, *how: str) -> Result:
    return command("approve", "flights", at.release, *how)


def test_declaring_people_makes_nothing_stale(declared: People) -> None:
    assert declared.home.run(SECOND).computed == set()


def test_a_name_that_was_typed_decides_nothing(declared: People, command: Command) -> None:
    attempts = {
        "approve": ("approve", "flights", declared.release, "--by", "ana"),
        "override": ("override", "flights", "-p", SECOND, "--by", "cleo", "--reason", "so"),
        "freeze": ("freeze", "flights", "--until", "2999-01-01", "--by", "ana"),
        "recall": ("recall", "flights", SECOND, "--by", "ana", "--reason", "bad", "--apply"),
        "rollback": ("rollback", "flights", "--by", "ana"),
        "accept": ("accept", "flights", SECOND, "--by", "ana", "--reason", "so"),
    }
    for act, args in attempts.items():
        done = command(*args)
        assert isinstance(done.exception, NotPermitted), done.output
        typed = args[args.index("--by") + 1]
        assert f"under people.{act} who may do this, and {typed!r} is a name that was typed" in str(done.exception)
        assert "`ml-assets people add NAME` makes one" in str(done.exception)
    assert [entry.body["decision"] for entry in declared.entries("refusal")] == [*attempts]
    kinds = {entry.kind for entry in declared.home.space.ledger.entries()}
    assert kinds.isdisjoint({"approval", "override", "freeze", "recall", "rollback", "acceptance"})


@pytest.mark.long
def test_two_keys_let_it_serve_and_the_record_says_by_which(declared: People, command: Command) -> None:
    ana, ben = key(declared, "ana"), key(declared, "Ben")
    first = json_of(approved(declared, command, "--key", ana, "--json"))
    assert (first["by"], first["answers"]) == ("ana", None)
    again = approved(declared, command, "--key", key(declared, "ANA"))
    assert "ana approved release" in str(again.exception), "another key is not another person"
    second = json_of(approved(declared, command, "--by", "ben", "--key", ben, "--json"))
    assert second["answers"] == declared.release
    proofs = [(entry.body["by"], entry.body["proof"][:4]) for entry in declared.entries("approval")]
    assert proofs == [("ana", "key "), ("Ben", "key ")]
    shown = command("lineage", declared.release).output
    assert f"by ana (cli, {declared.entries('approval')[0].body['proof']}):" in shown


def test_a_key_of_somebody_who_is_not_named_decides_nothing(declared: People, command: Command) -> None:
    done = approved(declared, command, "--key", key(declared, "cleo"))
    assert isinstance(done.exception, NotPermitted)
    assert "cleo (key " in str(done.exception)
    assert "may not do this; product.yaml names under people.approve: ana, ben" in str(done.exception)
    (refusal,) = declared.entries("refusal")
    assert refusal.body["by"] == "cleo"
    assert refusal.body["proof"].startswith("key ")
    nobody = command("rollback", "flights", "--key", key(declared, "ana"))
    assert "names under people.rollback: nobody" in str(nobody.exception)


def test_somebody_elses_key_an_expired_one_and_a_removed_one_are_refused(declared: People, command: Command) -> None:
    file, ana = declared.home.space.settings.people_keys, key(declared, "ana")
    lent = approved(declared, command, "--by", "ben", "--key", ana)
    assert isinstance(lent.exception, NotKnown)
    assert "--by says 'ben', and the key is ana's" in str(lent.exception)
    expired, _ = add(file, "ben", TODAY - timedelta(days=1))
    done = approved(declared, command, "--key", expired)
    assert isinstance(done.exception, NotKnown)
    assert "of ben has expired" in str(done.exception)
    remove(file, "ana")
    assert isinstance(approved(declared, command, "--key", ana).exception, NotKnown)
    assert declared.entries("approval") == []


def test_the_key_may_be_in_a_file(declared: People) -> None:
    secret = declared.home.folder / "key"
    secret.write_text(f"{key(declared, 'ana')}\n")
    environ = declared.home.space.settings.environ() | {"ML_ASSETS_PERSON_KEY_FILE": str(secret), "DAGSTER_HOME": ""}
    done = CliRunner().invoke(cli, ["freeze", "flights", "--until", "2999-01-01"], env=environ)
    assert "frozen until 2999-01-01T00:00 UTC by ana" in done.output
    assert declared.entries("freeze")[0].body["proof"].startswith("key ")


def test_what_was_approved_by_typed_names_before_or_by_people_no_longer_named_does_not_count(people: People) -> None:
    for name in ("ana", "ben"):
        assert people.job("approve", {"release": people.release, "reason": "fine", "by": name}) == ""
    assert who_waits(people.home.space.lineage, people.home.product) == []
    people.home.edit("product.yaml", DECLARED)
    (status,) = who_waits(people.home.space.lineage, people.home.product)
    assert status.approvals.by == ()
    assert people.home.run("", only=["endpoint/production"]).materialized == {"endpoint/production": False}
    release, evaluation = people.home.get("release", SECOND), people.home.get("evaluation", SECOND)
    for entry in people.entries("approval"):
        people.home.space.ledger.append("approval", entry.body | {"proof": "key 12345678"})
    assert (release.snapshot, evaluation.id) == (entry.body["release"], entry.body["evaluation"])
    assert who_waits(people.home.space.lineage, people.home.product) == []
    people.home.edit("product.yaml", (r"approve: \[ana, ben\]", "approve: [ana, cleo]"))
    (status,) = who_waits(people.home.space.lineage, people.home.product)
    assert status.approvals.by == ("ana",)


def test_a_moved_alias_approves_nothing_and_is_put_back(declared: People) -> None:
    space, product = declared.home.space, declared.home.product
    client = space.tracking.client()
    (version,) = registry.versions(client, "flights")
    client.set_model_version_tag("flights", version.version, registry.APPROVED_BY, "ana")
    client.set_registered_model_alias("flights", "production", version.version)
    message = reconcile(product, space.lineage, space.tracking)
    assert "an alias approves nothing here" in message
    assert "'ana' is a name that was typed" in message
    assert registry.shown(client, "flights", "production") is None
    assert declared.entries("approval") == []
    assert [entry.body["stage"] for entry in declared.entries("refusal")] == ["registry"]
    assert issubclass(NotPermitted, DecisionRefused)


@pytest.mark.long
def test_whoever_asked_for_a_release_is_not_one_of_the_four_eyes_that_approve_it(declared: People, command: Command) -> None:
    declared.home.edit(
        "product.yaml", (r"iterations: 5", "iterations: 6"), (r"approve: \[ana, ben\]", "approve: [ana, ben, cleo]")
    )
    assert "model" in declared.home.run(SECOND, person="Ana").computed
    assert declared.home.space.ledger.record_of(declared.home.get("release", SECOND)).body.by == "Ana"
    own = approved(declared, command, "--key", key(declared, "ana"))
    assert isinstance(own.exception, DecisionRefused)
    assert "ana asked for the run that made release" in str(own.exception)
    assert "somebody else whom people.approve names has to approve it" in str(own.exception)
    release, evaluation = declared.home.get("release", SECOND), declared.home.get("evaluation", SECOND)
    about = {"product": "flights", "release": release.snapshot, "evaluation": evaluation.id, "manifest": release.id}
    statement = {"name": declared.release, "decision": "approved", "reason": "fine", "via": "cli", "proof": "key 12345678"}
    declared.home.space.ledger.append("approval", {**about, **statement, "by": "ANA"})
    assert json_of(approved(declared, command, "--key", key(declared, "ben"), "--json"))["answers"] is None
    assert json_of(approved(declared, command, "--key", key(declared, "cleo"), "--json"))["answers"] == declared.release
    assert "asked for by Ana" in command("lineage", declared.release).output


def test_a_run_of_a_command_says_by_whose_key_it_was_asked_for(declared: People) -> None:
    settings = declared.home.space.settings
    assert asked_by(settings, "run-1") == {}
    by_key = replace(settings, person_key=key(declared, "ana"))
    assert asked_by(by_key, "run-1") == {PERSON_TAG: "ana"}
    signed = asked_by(replace(by_key, proxy_secret="secret"), "run-1")
    assert asker_of(signed, run="run-1", secret="secret") == Identity("ana", "login, run run-1")
    assert asker_of(signed, run="run-2", secret="secret") == "ana", (
        "the run is tried again: it takes a right away, and gives none"
    )
    assert asker_of({}, run="run-1", secret="secret") == ""
