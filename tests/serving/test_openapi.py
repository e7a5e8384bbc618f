"""schemathesis against the running server: requests that its own /openapi.json describes, and requests that it forbids."""

import os
import time
from collections import Counter
from collections.abc import Iterator

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from ml_assets.serving.client.server_process import ServerProcess
from tests.support.serving_store import get, store_of_one

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
PLAIN = ["/livez", "/readyz", "/version", "/metrics"]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with ServerProcess(store_of_one(tmp_path_factory.mktemp("home")).argv) as server:
        yield server.base_url


def described(base_url: str) -> BaseSchema:
    return schemathesis.openapi.from_url(f"{base_url}/openapi.json")


def timely(case: Case) -> Case:
    """The case with times that the server knows: the document calls them texts, and says how to write them in an example."""
    if case.meta and case.meta.generation.mode is GenerationMode.POSITIVE:
        for row in case.body.get("rows", [case.body]):
            row["scheduled_at"] = "2013-01-05T10:00:00"
    return case


def statuses_of(base_url: str, mode: GenerationMode, *, examples: int, number: int) -> Counter[int]:
    """The statuses of generated requests to /predict, each of which keeps what the document says."""
    statuses = Counter[int]()
    with requests.Session() as session:

        @seed(number)
        @settings(max_examples=examples, database=None, suppress_health_check=list(HealthCheck))
        @given(described(base_url)["/predict"]["POST"].as_strategy(generation_mode=mode).map(timely))
        def holds(case: Case) -> None:
            statuses[case.call_and_validate(session=session, checks=CHECKS).status_code] += 1

        holds()
    return statuses


@pytest.mark.long
def test_requests_that_the_document_forbids_are_refused_as_it_says(running: str) -> None:
    statuses = statuses_of(running, GenerationMode.NEGATIVE, examples=50, number=19)
    assert set(statuses) <= {400, 422}


def test_requests_that_the_document_allows_are_scored_or_told_why_not(running: str) -> None:
    statuses = statuses_of(running, GenerationMode.POSITIVE, examples=100, number=19)
    assert set(statuses) <= {200, 422}  # 1.0 is an integer to JSON Schema, not to the endpoint
    assert statuses[200] > 10


@pytest.mark.parametrize("path", PLAIN)
def test_what_needs_no_body_is_answered_as_the_document_says(running: str, path: str) -> None:
    response = described(running)[path]["GET"].Case().call_and_validate(checks=[not_a_server_error, status_code_conformance])
    assert response.status_code == 200


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_thousands_of_requests_made_from_the_document_get_what_it_says(running: str, mode: GenerationMode) -> None:
    number = int(os.environ.get("SEED", time.time_ns() % 10**9))
    print(f"SEED={number}")  # noqa: T201 - repeats a failure
    statuses = statuses_of(running, mode, examples=5000, number=number)
    print(f"{mode.value}: {dict(statuses)}")  # noqa: T201
    assert 'status="5' not in get(running, "/metrics")
