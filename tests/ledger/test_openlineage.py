"""Lineage as OpenLineage events: accepted by the official types, complete down to the delivered bytes, and sent over HTTP.

The official JSON schema is in no package: OPENLINEAGE_SPEC names a folder with the `spec` of an OpenLineage checkout to hold the
events against it too.
"""

import json
import os
import pkgutil
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import Any

import attr
import openlineage.client.generated as generated
import pytest
from click.testing import CliRunner
from openlineage.client.event_v2 import RunEvent

from ml_assets.cli import cli
from tests.support.homes.flights_months import MONTHS, Months, copies, copy, month, months, year

__all__ = ["copies", "copy", "months"]

THIRD = MONTHS[2]
SPEC = os.environ.get("OPENLINEAGE_SPEC")
Event = dict[str, Any]


def export(at: Months, *options: str) -> str:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in at.home.space.settings.environ().items():
            patch.setenv(name, value)
        done = CliRunner().invoke(cli, ["export", "openlineage", *options])
    assert done.exit_code == 0, done.output
    return done.stdout


def release(at: Months) -> str:
    return str(at.home.get("release", THIRD).facts["release"])


@pytest.fixture(scope="module")
def events(months: Months) -> list[Event]:
    """What made the third month's release."""
    return [json.loads(line) for line in export(months, release(months)).splitlines()]


def ends(events: list[Event], *, checks: bool = False) -> list[Event]:
    """The last event of each run, of stages or of checks."""
    return [e for e in events if e["eventType"] == "COMPLETE" and e["job"]["name"].endswith(".checks") is checks]


def outputs(events: list[Event]) -> dict[str, Any]:
    return {output["name"]: output for event in ends(events) for output in event["outputs"]}


def test_each_run_starts_and_completes_once(events: list[Event]) -> None:
    states = [(event["run"]["runId"], event["eventType"]) for event in events]
    runs = [run for run, state in states if state == "START"]
    assert len(set(runs)) == len(runs)
    assert states == [(run, state) for run in runs for state in ("START", "COMPLETE")]


def test_the_events_lead_from_the_release_to_the_delivered_bytes(events: list[Event]) -> None:
    produced = outputs(events)
    read = {given["name"]: given for event in ends(events) for given in event["inputs"]}
    assert f"release/{THIRD}" in produced
    assert {name for name in read if name not in produced} == {
        *(f"landing/{table}/{key}" for table in ("flights", "weather") for key in MONTHS),
        *(f"landing/{table}" for table in year().reference()),
    }
    content = month(THIRD)["flights"]
    assert read[f"landing/flights/{THIRD}"]["facets"]["version"]["datasetVersion"] == sha256(content).hexdigest()
    for name, given in read.items():
        if name in produced:
            assert given["facets"]["version"] == produced[name]["facets"]["version"]


def test_columns_come_from_columns_that_the_inputs_have(months: Months, events: list[Event]) -> None:
    produced = outputs(events)
    schemas = {n: {f["name"] for f in o["facets"].get("schema", {"fields": []})["fields"]} for n, o in produced.items()}
    fields = produced[f"features/{THIRD}"]["facets"]["columnLineage"]["fields"]
    assert fields.keys() <= schemas[f"features/{THIRD}"]
    sources = {(given["name"], given["field"]) for event_or_facet in fields.values() for given in event_or_facet["inputFields"]}
    assert {name for name, _ in sources} >= {f"dataset/{THIRD}", f"dataset/{MONTHS[1]}", "reference"}
    assert all(field in schemas[name] for name, field in sources)
    assert months.home.space.dbt.column_lineage(months.home.product).keys() == fields.keys()


def test_what_checks_found_is_told_as_assertions(months: Months, events: list[Event]) -> None:
    ledger, manifest = months.home.space.ledger, months.home.get("evaluation", THIRD)
    checked = {e["inputs"][0]["name"]: e["inputs"][0]["inputFacets"] for e in ends(events, checks=True)}
    assertions = {a["assertion"]: a["success"] for a in checked[f"evaluation/{THIRD}"]["dataQualityAssertions"]["assertions"]}
    assert assertions == {claim: entry.body.passed for claim, entry in ledger.evidence(manifest.id).items()}
    assert assertions["gates_passed"] is True


@pytest.mark.long
def test_an_export_can_be_repeated(months: Months, events: list[Event], tmp_path: Path) -> None:
    export(months, release(months), "--output", str(tmp_path / "again.ndjson"))
    assert [json.loads(line) for line in (tmp_path / "again.ndjson").read_text().splitlines()] == events
    everything = export(months, "--all").splitlines()
    assert len(everything) > len(events)
    assert {json.dumps(event) for event in events} <= {json.dumps(json.loads(line)) for line in everything}


def official() -> dict[str, type]:
    """The client's types, made from the official schema, by the address that they publish."""
    modules = [import_module(f"{generated.__name__}.{module.name}") for module in pkgutil.iter_modules(generated.__path__)]
    types = [t for module in modules for t in vars(module).values() if isinstance(t, type) and attr.has(t)]
    return {t._get_schema(): t for t in types if "_get_schema" in vars(t)}


def test_every_event_and_facet_is_one_that_the_official_types_take(events: list[Event]) -> None:
    types = official()
    seen = set()
    for facet in facets(events):
        address = facet["_schemaURL"]
        given = {name: value for name, value in facet.items() if name not in ("_producer", "_schemaURL")}
        known = {field.name for field in attr.fields(types[address])}
        assert given.keys() <= known or address.endswith("/RunFacet")
        built = types[address](**{name: value for name, value in given.items() if name in known})
        assert built._schemaURL == address
        seen.add(types[address].__name__)
    assert seen >= {"SchemaDatasetFacet", "DatasetVersionDatasetFacet", "ColumnLineageDatasetFacet", "JobTypeJobFacet"}
    assert seen >= {"DataQualityAssertionsDatasetFacet", "OutputStatisticsOutputDatasetFacet", "ParentRunFacet", "RunFacet"}
    assert {event["schemaURL"] for event in events} == {RunEvent._get_schema()}
    assert all(event.keys() <= {field.name for field in attr.fields(RunEvent)} for event in events)


def facets(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if "_schemaURL" in value:
            yield value
        value = list(value.values())
    for item in value if isinstance(value, list) else []:
        yield from facets(item)


@pytest.mark.long
def test_every_event_and_facet_of_the_whole_ledger_keeps_the_official_json_schema(months: Months) -> None:
    from jsonschema import Draft202012Validator
    from referencing import Registry, Resource

    assert SPEC, "OPENLINEAGE_SPEC must name a folder with the official JSON schemas (the spec folder of OpenLineage)"
    payload = [json.loads(path.read_text()) for path in sorted(Path(SPEC or "").rglob("*.json"))]
    named = {schema["$id"]: schema for schema in payload if "$id" in schema}
    registry: Any = Registry().with_resources([(id, Resource.from_contents(schema)) for id, schema in named.items()])
    events = [json.loads(line) for line in export(months, "--all").splitlines()]
    assert {"flights.predictions", "flights.monitoring", "flights.release"} <= {event["job"]["name"] for event in events}
    for event_or_facet in [*events, *facets(events)]:
        address = event_or_facet.get("schemaURL") or event_or_facet["_schemaURL"]
        assert address.partition("#")[0] in named
        Draft202012Validator({"$ref": address}, registry=registry).validate(event_or_facet)


class Receiver(BaseHTTPRequestHandler):
    received: list[Event]

    def do_POST(self) -> None:
        self.received.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(201)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


@contextmanager
def receiver() -> Iterator[tuple[str, list[Event]]]:
    """A server that takes events, its address, and what it got."""
    received: list[Event] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Receiver,), {"received": received}))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", received
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.long
def test_events_are_sent_by_the_official_client(months: Months, events: list[Event]) -> None:
    with receiver() as (url, received):
        assert export(months, release(months), "--url", url) == f"{len(events)} events sent to {url}\n"
    assert [event["run"]["runId"] for event in received] == [event["run"]["runId"] for event in events]


def test_without_a_reference_nothing_is_exported(months: Months) -> None:
    with pytest.raises(AssertionError):
        export(months)
    with pytest.raises(AssertionError):
        export(months, release(months), "--all")
