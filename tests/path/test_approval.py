"""A release that a person is asked about waits until enough of them agree, whichever way they say so."""

from collections.abc import Callable
from dataclasses import replace

import dagster as dg
import msgspec
import pytest
from click.testing import Result

from ml_assets.core.gates.verdict import gate_digest
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.lineage.verdict_facts import VerdictFacts
from ml_assets.core.release.clearance import clearance
from ml_assets.services.release_status import waiting as who_waits
from resources.dagster_resources import resources_of
from resources.ledger import recalls
from resources.ledger.decisions import DecisionRefused
from resources.tracking import registry
from sensors import decisions
from sensors.registry import reconcile
from tests.support.homes.path_homes import Run
from tests.support.homes.people_home import FIRST, SECOND, People, command, json_of, people, waiting

__all__ = ["command", "people", "waiting"]

Command = Callable[..., Result]


def test_who_is_asked_follows_from_what_the_product_declares(waiting: People) -> None:
    product, verdict = waiting.home.product, waiting.home.get("evaluation", SECOND).facts["verdict"]
    first = product.gates.first_release
    assert first is not None
    for approve, of_first, state in (
        ("automatic", "automatic", ""),
        ("person", "automatic", "gates.approve is person"),
        ("automatic", "person", "it is a first release, and first_release.approve is person"),
    ):
        changed = {"approve": approve, "first_release": first.model_copy(update={"approve": of_first})}
        declared = product.model_copy(update={"gates": product.gates.model_copy(update=changed)})
        cleared = clearance(
            declared, msgspec.convert({**verdict, "gate": gate_digest(declared)}, VerdictFacts), has_champion=False
        )
        assert (cleared.reasons, cleared.approval_reason, cleared.is_proven) == ((), state, True)


def launched(at: People) -> list[tuple[str, str]]:
    """The runs that the sensor of decisions asks for: partition and run key."""
    product = at.home.product
    with dg.build_sensor_context(resources=resources_of(at.home.space.settings)) as context:
        result = decisions.build(product)(context)
    requests = result.run_requests or [] if isinstance(result, dg.SensorResult) else []
    return [(str(r.partition_key), str(r.run_key)) for r in requests if isinstance(r, dg.RunRequest)]


def test_the_release_is_registered_and_tried_in_staging_and_waits(waiting: People) -> None:
    run = waiting.run
    assert isinstance(run, Run)
    assert run.success
    assert run.computed >= {"release", "endpoint/staging"}
    assert run.materialized["endpoint/production"] is False, "kept"
    assert run.checks["answers_equal_offline"]
    assert waiting.home.serving("staging") == waiting.release
    assert waiting.home.serving() is None
    (waiting_release,) = who_waits(waiting.home.space.lineage, waiting.home.product)
    assert (waiting_release.name, waiting_release.decision.reasons) == (
        waiting.release,
        ("waits for approval by two people: gates.approve is person",),
    )
    assert launched(waiting) == []


@pytest.mark.long
def test_two_people_let_it_answer_and_the_record_says_who(people: People, command: Command) -> None:
    first = json_of(command("approve", "flights", people.release, "--by", " Anna", "--json"))
    assert first["success"]
    assert first["answers"] is None
    assert first["waits"] == {people.release: "waits for approval by a second person as well as Anna: gates.approve is person"}
    status = command("status", "flights")
    assert f"{people.release} waits for approval by a second person" in status.output
    assert json_of(command("status", "flights", "--json"))["waits"]

    again = command("approve", "flights", people.release, "--by", "anna ")
    assert isinstance(again.exception, DecisionRefused)
    assert "somebody else has to" in str(again.exception)
    second = json_of(command("approve", "flights", people.bundle[:12], "--by", "ben", "--reason", "slices look fine", "--json"))
    assert (second["answers"], second["waits"]) == (people.release, {})
    assert people.home.serving() == people.release

    (move,) = people.entries("promotion")
    assert move.body["by"] == "Anna and ben"
    assert "approved by ben: slices look fine" in move.body["reason"]
    assert move.body["is_proven"]
    assert [(e.body["by"], e.body["via"]) for e in people.entries("approval")] == [("Anna", "cli"), ("ben", "cli")]
    assert all(e.body["evaluation"] == people.home.get("evaluation", SECOND).id for e in people.entries("approval"))
    done = command("approve", "flights", people.release, "--by", "cleo")
    assert "already serves. Nothing waits" in str(done.exception)
    assert len(people.refused()) == 2

    lineage = command("lineage", people.release)
    assert "approved at" in lineage.output
    assert "by ben (cli): slices look fine" in lineage.output
    node = next(n for n in json_of(command("lineage", people.release, "--json"))["manifests"] if n["asset"] == "flights/release")
    assert [statement["by"] for statement in node["approvals"]] == ["Anna", "ben"]
    page = people.home.folder / "lineage.html"
    command("lineage", people.release, "--html", str(page))
    assert "approved (cli)" in page.read_text()


@pytest.mark.long
def test_what_is_approved_while_the_product_is_frozen_serves_when_that_is_over(people: People, command: Command) -> None:
    command("freeze", "flights", "--until", "2999-01-01", "--by", "ann", "--reason", "holidays")
    for name in ("anna", "ben"):
        command("approve", "flights", people.release, "--by", name)
    assert people.home.serving() is None
    assert launched(people) == []
    assert command("freeze", "flights", "--lift").output == "flights: not frozen\n"
    ((partition, _),) = launched(people)
    assert people.home.run(partition).success
    assert people.home.serving() == people.release
    assert launched(people) == []


@pytest.mark.long
def test_a_refusal_is_final(people: People, command: Command) -> None:
    people.job("approve", {"release": people.release, "reason": "fine", "by": "anna"})
    done = command("refuse", "flights", people.release, "--by", "ben", "--reason", "carrier OO is missing")
    assert done.exit_code == 0
    assert "no release serves in production" in done.output
    for name in ("anna", "ben", "cleo"):
        later = command("approve", "flights", people.release, "--by", name)
        assert isinstance(later.exception, DecisionRefused)
        assert "was refused by ben (carrier OO is missing); that is final" in str(later.exception)
    run = people.home.run(SECOND)
    assert run.success
    assert run.computed == set()
    assert people.home.serving() is None
    assert who_waits(people.home.space.lineage, people.home.product) == []
    assert launched(people) == []
    tags = registry.versions(people.home.space.tracking.client(), "flights")[0].tags
    assert tags["approval"] == "refused: refused by ben: carrier OO is missing"


@pytest.mark.parametrize(("by", "reason"), [("", "fine"), ("  ", "fine"), ("anna", " ")])
def test_nobody_decides_without_a_name_and_a_reason(people: People, command: Command, by: str, reason: str) -> None:
    before = people.home.counts()
    for args in (
        ["approve", "flights", people.release],
        ["refuse", "flights", people.release],
        ["override", "flights", "--partition", SECOND],
    ):
        done = command(*args, "--by", by, "--reason", reason)
        assert isinstance(done.exception, DecisionRefused)
        assert "must not be empty" in str(done.exception)
    assert people.home.counts() == before


def test_what_does_not_wait_cannot_be_approved_and_the_error_names_what_does(people: People, command: Command) -> None:
    done = command("approve", "flights", "2013-02.00000000", "--by", "anna")
    assert str(done.exception) == (f"flights: no release '2013-02.00000000' waits for approval. Waiting: {people.release}")
    assert people.refused() == [str(done.exception)]
    assert people.entries("approval") == []


def test_an_approval_of_other_bytes_or_of_another_evaluation_counts_for_nothing(people: People) -> None:
    evaluation, release = (people.home.get(stage, SECOND) for stage in ("evaluation", "release"))
    about = {"product": "flights", "release": release.snapshot, "evaluation": evaluation.id, "manifest": release.id}
    statement = {"name": people.release, "decision": "approved", "reason": "fine", "via": "cli"}
    for number, change in enumerate([{"release": "0" * 64}, {"evaluation": "0" * 64}, {"product": "trains"}]):
        for name in ("anna", "ben"):
            people.home.space.ledger.append("approval", {**about, **statement, "by": f"{name}{number}", **change})
    run = people.home.run("", only=["endpoint/production"])
    assert run.materialized == {"endpoint/production": False}
    assert people.home.serving() is None
    assert len(who_waits(people.home.space.lineage, people.home.product)) == 1


def another_answers(at: People, as_of: str, *, instead_of: str | None) -> None:
    """Let a release answer that nothing here made."""
    space, current = at.home.space, at.home.get("release", SECOND)
    recipe = replace(current.recipe, partition=as_of)
    other = Manifest(recipe, "a" * 64, "a" * 64, {**current.facts, "release": f"{as_of}.aaaaaaaa"})
    space.ledger.publish(other, run="another")
    space.endpoints.move("promotion", other, environment="production", by="another", reason="ACCEPT", expected=instead_of)


@pytest.fixture
def approved(people: People) -> People:
    """Approved by both, and not taken up yet."""
    for name in ("anna", "ben"):
        assert people.job("approve", {"release": people.release, "reason": "fine", "by": name}) == ""
    assert len(launched(people)) == 1
    return people


def refused_now(at: People) -> str:
    """Why the endpoint alone does not let the release answer; it is recorded, and no sensor tries it."""
    run = at.home.run("", only=["endpoint/production"])
    assert "endpoint/production" not in run.materialized
    assert launched(at) == []
    return run.errors["endpoint/production"]


def test_an_approval_does_not_outlive_the_champion_that_the_verdict_compared_with(approved: People) -> None:
    another_answers(approved, FIRST, instead_of=None)
    why = "its verdict compares with no champion, but release aaaaaaaaaaaa serves now"
    assert why in refused_now(approved)
    (refused,) = approved.refused()
    assert refused.endswith(f"; {why}")
    assert "latency_holds compares with another release than the one that serves" in refused
    assert why in approved.job("approve", {"release": approved.release, "reason": "fine", "by": "cleo"})
    assert approved.home.serving() == f"{FIRST}.aaaaaaaa"


def test_an_approval_does_not_outlive_the_gates(approved: People) -> None:
    approved.home.edit("product.yaml", (r"> 0\.55}", "> 0.56}"))
    assert "the verdict was given for other gates than product.yaml declares now" in refused_now(approved)
    assert len(approved.refused()) == 1


def test_an_approval_does_not_outlive_a_recall(approved: People) -> None:
    release = approved.home.get("release", SECOND)
    recall = recalls.Recall(
        "flights", "release", SECOND, "a feed was wrong", "anna", release=release.snapshot, name=approved.release
    )
    recalls.record(approved.home.space.ledger, recall)
    assert "may not be used: it is or was made from" in refused_now(approved)
    assert "Nothing waits" in approved.job("approve", {"release": approved.release, "reason": "fine", "by": "cleo"})


def test_the_job_records_it_and_the_sensor_runs_the_path_once_per_decision(people: People) -> None:
    named = {"release": people.release, "reason": "read the card"}
    assert people.job("approve", {**named, "by": "anna"}) == ""
    assert launched(people) == [], "one of two"
    assert "somebody else has to" in people.job("approve", {**named, "by": "ANNA"})
    assert people.job("approve", {**named, "by": "ben"}) == ""
    newest = people.entries("approval")[-1]
    assert launched(people) == launched(people) == [(SECOND, f"{SECOND}:{newest.hash}")]
    assert newest.body["via"] == "dagster"
    assert people.home.run(SECOND).computed == {"endpoint/production"}
    assert people.home.serving() == people.release
    assert launched(people) == []


def test_a_job_refuses_too_even_after_enough_have_approved(approved: People) -> None:
    assert approved.job("approve", {"release": approved.release, "reason": "wait", "by": "cleo", "refuse": True}) == ""
    assert launched(approved) == []
    assert approved.home.run(SECOND).success
    assert approved.home.serving() is None


@pytest.mark.long
def test_the_alias_moved_by_hand_is_an_approval_by_whom_the_version_names(people: People) -> None:
    space, product = people.home.space, people.home.product
    client = space.tracking.client()
    assert reconcile(product, space.lineage, space.tracking) == "the alias is on the release that serves"
    (version,) = registry.versions(client, "flights")
    assert version.tags["approval"].startswith("waits: waits for approval by two people")
    assert (version.tags["verdict"], len(version.tags["gates"])) == ("ACCEPT", 64)
    assert version.description.startswith("# flights 2013-02.")

    def move(person: str) -> str:
        if person:
            client.set_model_version_tag("flights", version.version, registry.APPROVED_BY, person)
        client.set_registered_model_alias("flights", "production", version.version)
        return reconcile(product, space.lineage, space.tracking)

    assert "no one is named" in move("")
    assert "approved; nothing serves" in move("anna")
    assert "anna approved release" in move(" Anna")
    assert registry.shown(client, "flights", "production") is None, "the ledger decides what it shows"
    assert "approved" in move("ben")
    assert [(e.body["by"], e.body["via"]) for e in people.entries("approval")] == [("anna", "mlflow"), ("ben", "mlflow")]
    assert len(people.refused()) == 2
    (partition, _), *_ = launched(people)
    assert people.home.run(partition, leaves=("tracking",)).computed == {"endpoint/production"}
    assert people.home.serving() == people.release
    assert reconcile(product, space.lineage, space.tracking) == "the alias is on the release that serves"


def test_a_release_that_serves_before_it_is_registered_fails_no_tick(approved: People) -> None:
    space, product = approved.home.space, approved.home.product
    approved.home.run("", only=["endpoint/production"])
    client = space.tracking.client()
    (version,) = registry.versions(client, "flights")
    client.create_model_version("flights", version.source, version.run_id, tags={"bundle": "f" * 64})
    client.delete_model_version("flights", version.version)
    unregistered = f"{approved.release} serves, and is not registered in MLflow yet"
    told = [reconcile(product, space.lineage, space.tracking) for _ in range(2)]
    assert told[-1] == unregistered, "not at each tick that an alias was put back"
    client.delete_registered_model("flights")
    assert reconcile(product, space.lineage, space.tracking) == "nothing is registered in MLflow yet"


def test_the_alias_on_anything_else_is_put_back_and_recorded(people: People) -> None:
    space, product = people.home.space, people.home.product
    client = space.tracking.client()
    (version,) = registry.versions(client, "flights")
    source = client.create_model_version("flights", version.source, version.run_id, tags={"bundle": "f" * 64})
    client.set_registered_model_alias("flights", "production", source.version)
    assert "it is unknown" in reconcile(product, space.lineage, space.tracking)
    other = client.create_model_version("flights", f"{version.source}/bundle/lookups", version.run_id, tags=dict(version.tags))
    client.set_model_version_tag("flights", other.version, registry.APPROVED_BY, "anna")
    client.set_registered_model_alias("flights", "production", other.version)
    assert "its files are not the release's: " in reconcile(product, space.lineage, space.tracking)
    assert people.entries("approval") == []
    assert registry.shown(client, "flights", "production") is None
    assert [entry.body["stage"] for entry in people.entries("refusal")] == ["registry"] * 2


def test_an_alias_that_lags_behind_is_moved_without_a_refusal_and_one_that_a_person_moved_with(approved: People) -> None:
    space, product = approved.home.space, approved.home.product
    approved.home.run("", only=["endpoint/production"])
    client = space.tracking.client()
    client.delete_registered_model_alias("flights", "production")
    assert reconcile(product, space.lineage, space.tracking) == f"the alias lagged behind; {approved.release} serves"
    shown = registry.shown(client, "flights", "production")
    assert shown is not None
    assert (shown.bundle, shown.is_ours) == (approved.bundle, True)

    another_answers(approved, "2013-03", instead_of=approved.bundle)
    assert reconcile(product, space.lineage, space.tracking) == "the alias lagged behind; 2013-03.aaaaaaaa serves"
    assert registry.shown(client, "flights", "production") is None, "that one is not registered"
    assert approved.refused() == []
    client.set_model_version_tag("flights", shown.version, registry.APPROVED_BY, "cleo")
    client.set_registered_model_alias("flights", "production", shown.version)
    assert "shows what serves, and why; 2013-03.aaaaaaaa serves" in reconcile(product, space.lineage, space.tracking)
    assert registry.shown(client, "flights", "production") is None
    assert [entry.body["via"] for entry in approved.entries("refusal")] == ["mlflow"]


def test_the_card_is_what_was_bundled(people: People, command: Command) -> None:
    card = command("card", people.release)
    assert card.output.encode() == people.home.space.snapshots.read(people.bundle, "card.md")
    assert "## Verdict" in card.output
    assert "Will this departure arrive 30 minutes late or more?" in card.output
    output = people.home.folder / "card.md"
    command("card", people.bundle, "--output", str(output))
    assert output.read_text() == card.output
    assert "no model card" in str(command("card", "flights/model:2013-02").exception)
