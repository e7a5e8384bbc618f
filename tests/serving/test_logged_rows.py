"""The log has the text of a request as it was sent, and no field that the endpoint doesn't know."""

import json
from pathlib import Path

import pytest

from ml_assets.serving.log.reader import read
from ml_assets.serving.log.writer import PredictionLog
from ml_assets.serving.requests.parser import Limits
from tests.support.in_process import app_of, ask, within
from tests.support.serving_store import Store, payload, requests, store_of_one

ROWS = payload(requests(3, seed=31))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return store_of_one(tmp_path_factory.mktemp("home"))


def logged(store: Store, folder: Path, body: bytes, limits: Limits) -> list[str]:
    """The requests in the log of an endpoint that was asked once."""
    app = app_of(store, PredictionLog(folder), limits=limits)
    assert within(app, lambda: ask(app, body))[0] == 200
    app.state.close()
    texts: list[str] = read(folder)["request"].to_list()
    return texts


@pytest.mark.parametrize("spaces", [(", ", ": "), (",", ":"), (" , ", ":  ")])
def test_a_row_is_logged_as_it_was_sent(store: Store, tmp_path: Path, spaces: tuple[str, str]) -> None:
    texts = [json.dumps(row, separators=spaces) for row in ROWS]
    assert logged(store, tmp_path, f'{{"rows":[{",".join(texts)}]}}'.encode(), Limits()) == texts
    assert logged(store, tmp_path / "one", f" {texts[0]} ".encode(), Limits()) == texts[:1]


def test_text_with_braces_is_logged_whole(store: Store, tmp_path: Path) -> None:
    rows = [{**row, "tailnum": text} for row, text in zip(ROWS, ("}{", '{"rows":', "}"), strict=True)]
    texts = logged(store, tmp_path, json.dumps({"rows": rows}).encode(), Limits())
    assert [json.loads(text) for text in texts] == rows


def test_a_field_that_is_ignored_is_not_logged(store: Store, tmp_path: Path) -> None:
    rows = [{**row, "passenger": f"secret {number}"} for number, row in enumerate(ROWS)]
    texts = logged(store, tmp_path, json.dumps({"rows": rows}).encode(), Limits(unknown_fields="ignore"))
    assert [json.loads(text) for text in texts] == ROWS
    assert "secret" not in "".join(texts)
