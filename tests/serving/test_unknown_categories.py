"""The real server refuses a category that training never saw, by path, and no other client's request with it."""

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ml_assets.serving.client.server_process import ServerProcess
from ml_assets.serving.release.bundle import load
from ml_assets.serving.release.loaded_releases import converted
from ml_assets.serving.requests.refusals import BadRequest
from tests.support.serving_store import Store, get, payload, post, requests, train

KNOWN = {"carrier": ["AA", "B6", "DL"], "tailnum": [f"N{number}" for number in range(200)]}
ROW = {**payload(requests(1, seed=2))[0], "carrier": "AA", "tailnum": "N3"}
UNKNOWN = {**ROW, "carrier": "UA"}
"""A carrier that the contract allows."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    store = Store(tmp_path_factory.mktemp("home"))
    train(store.home / "r", name="r1", seed=1)
    know(store.home / "r")
    store.point("r1", store.add(store.home / "r"))
    with ServerProcess(store.argv) as server:
        yield server.base_url


def know(folder: Path) -> None:
    """Let the bundle take known values alone; its golden rows hold no others."""
    request, golden = folder / "request.json", folder / "golden.json"
    fields = [field | {"known": KNOWN.get(field["name"])} for field in json.loads(request.read_text())]
    request.write_text(json.dumps(fields))
    content = json.loads(golden.read_text())
    kept = [n for n, row in enumerate(content["requests"]) if row["carrier"] in KNOWN["carrier"]]
    assert 0 < len(kept) < len(content["requests"])
    golden.write_text(json.dumps({name: [values[n] for n in kept] for name, values in content.items()}))


def ask(base_url: str, *rows: dict[str, Any]) -> tuple[int, Any]:
    return post(base_url, json.dumps({"rows": rows}).encode())


def test_what_the_training_saw_is_scored_and_anything_else_refused_with_its_path(running: str) -> None:
    assert ask(running, *({**ROW, "carrier": carrier} for carrier in KNOWN["carrier"]))[0] == 200
    assert ask(running, {**ROW, "tailnum": None}, {**ROW, "tailnum": "N199"})[0] == 200
    status, answer = ask(running, ROW, UNKNOWN)
    allowed = {"type": "string", "nullable": False, "known": KNOWN["carrier"]}
    refusal = {"path": "rows[1].carrier", "message": "the training saw no 'UA'", "allowed": allowed}
    assert (status, answer) == (422, {"detail": [refusal]})
    status, answer = ask(running, {**ROW, "tailnum": "N200"})
    assert (status, answer["detail"][0]["allowed"]["known_count"]) == (422, 200)
    counted = [line for line in get(running, "/metrics").splitlines() if 'reason="unknown_category"' in line]
    assert [line.rpartition(" ")[2] for line in counted] == ["2.0"]


def test_a_refused_row_refuses_its_own_request_alone(running: str) -> None:
    bodies = [(ROW, UNKNOWN) if number % 3 == 0 else (ROW, ROW) for number in range(30)]
    with ThreadPoolExecutor(10) as clients:
        statuses = list(clients.map(lambda rows: ask(running, *rows)[0], bodies))
    assert statuses == [422 if number % 3 == 0 else 200 for number in range(30)]


def test_the_document_lists_what_is_taken_or_tells_how_much_there_is(running: str) -> None:
    fields = json.loads(get(running, "/openapi.json"))["components"]["schemas"]["Request"]["properties"]
    assert fields["carrier"] == {"enum": KNOWN["carrier"]}
    assert fields["tailnum"]["type"] == ["string", "null"]
    assert fields["tailnum"]["description"].startswith("One of 200 values that the training saw, such as N0, N1, N2")


@pytest.mark.long
def test_a_candidate_does_not_score_what_it_refuses_and_the_champion_took(tmp_path: Path) -> None:
    train(tmp_path / "champion", name="r1", seed=1)
    shutil.copytree(tmp_path / "champion", tmp_path / "candidate")
    know(tmp_path / "candidate")
    champion, candidate = load(tmp_path / "champion"), load(tmp_path / "candidate")
    (row,) = converted(champion.requests.convert([ROW]), champion, candidate)
    assert msgspec.structs.astuple(row) == msgspec.structs.astuple(candidate.requests.convert([ROW])[0])
    with pytest.raises(BadRequest, match="the training saw no 'UA'"):
        converted(champion.requests.convert([UNKNOWN]), champion, candidate)
