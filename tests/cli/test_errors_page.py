"""docs/errors.md quotes what is really said: most of its messages are provoked here, and read in the page."""

import json
import os
import re
import socket
from collections.abc import Mapping
from pathlib import Path

import pytest

from ml_assets.cli import run
from ml_assets.serving.log.writer import PredictionLog
from resources.settings import ROOT
from tests.support.broken_products import Broken
from tests.support.homes.shop import csv_bytes, rows
from tests.support.in_process import app_of, ask, within
from tests.support.serving_store import payload, requests, store_of_one

QUOTED = [
    quote
    for line in (ROOT / "docs" / "errors.md").read_text().splitlines()
    if line.startswith("| `")
    for quote in re.findall(r"`([^`]+)`", line.split("|")[1])
]
Edit = tuple[str, str, str]
"""A file of the product, what stands there, and what is written instead."""

DECLARED: Mapping[str, Edit] = {
    "unknown key; did you mean …": ("product.yaml", "threads: 1", "treads: 1"),
    "the key is missing; its section takes": ("product.yaml", "task: binary", ""),
    "the key is given twice": ("product.yaml", "task: binary", "task: binary\ntask: binary"),
    "is not YAML": ("product.yaml", "slices: [city]", "slices: [city"),
    "input should be …; found": ("product.yaml", "task: binary", "task: two classes"),
    "is not a column of Features; did you mean": ("product.yaml", "slices: [city]", "slices: [citty]"),
    "is not a column of Request; allowed": ("product.yaml", "key: [id]", "key: [order]"),
    "is not a metric of a … task": ("product.yaml", "roc_auc(candidate) > 0.05", "rmse(candidate) > 0.05"),
    "expected a metric of a model": ("product.yaml", "roc_auc(candidate) > 0.05", "roc_auc(candidate) >"),
    "is more than looks": ("product.yaml", "looks: 6, ships: 6", "looks: 6, ships: 7"),
    "must be the name of its folder": ("product.yaml", "name: shop", "name: store"),
    "cannot be imported": ("contract.py", "import pandera.polars as pa", "import panderra.polars as pa"),
    "is not Python": ("contract.py", "class Request(pa", "class Request((pa"),
    "makes no column": ("product.yaml", "label: came_back", "label: came_bakc"),
}
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "there is no product": ("status", "shp"),
    "No such command …. Did you mean": ("statsu", "shop"),
    "is not the key of a partition by …; a good one is": ("run", "shop", "-p", "2024-3"),
    "is not a partition of this product: its partitions by … start at": ("run", "shop", "-p", "2020-01-01"),
    "names nothing in the ledger; give": ("lineage", "2030-01.deadbeef"),
    "is not a prediction id": ("explain", "nothing"),
    "has no table …; it has": ("deliver", "shop", "ordrs", "orders.csv", "-p", "2024-03-01"),
    "is delivered as …, not as": ("deliver", "shop", "orders", "orders.parquet", "-p", "2024-03-01"),
    "is delivered by partition: give --partition": ("deliver", "shop", "orders", "orders.csv"),
    "nothing is delivered to": ("run", "shop"),
    "there is no earlier release to go back to": ("rollback", "shop", "--by", "ann"),
    "waits for approval. Nothing waits": ("approve", "shop", "2024-03-02", "--by", "ann"),
    "has nothing for … yet; materialize it first": ("override", "shop", "-p", "2024-03-02", "--by", "ann", "--reason", "late"),
    "names neither a partition that was read nor a release": ("recall", "shop", "2024-03-02", "--reason", "wrong"),
    "no release is on trial, neither as a shadow nor as a canary": ("shadow", "shop", "--stop", "--reason", "late"),
    "is past; name a later moment": ("freeze", "shop", "--until", "2020-01-01"),
    "the ledger has no entry …; its entries are": ("erase", "99", "--by", "ann", "--reason", "asked"),
    "the key is nobody's": ("rollback", "shop", "--key", "wrong"),
    "is not in a git repository": ("ci",),
    "there is no part …; there are": ("up", "--only", "nothing"),
    "is given twice, to": ("up", "--dagster-port", "PORT", "--mlflow-port", "PORT"),
}
ENVIRON: Mapping[str, tuple[str, str]] = {
    "is not a setting, and has no effect; did you mean": ("ML_ASSETS_LEGDER", "x"),
    "set it to true or false": ("ML_ASSETS_COMPILED", "perhaps"),
    "is not a database that is known here": ("ML_ASSETS_LEDGER", "foo://host/x"),
    "cannot be opened: Protocol not known": ("ML_ASSETS_STORE", "bogus://bucket/x"),
    "let it be written, or set ML_ASSETS_HOME": ("ML_ASSETS_HOME", "/proc/nothing"),
    "is not a folder; it names folders": ("ML_ASSETS_PRODUCTS", "nothing"),
    "is not known; did you mean …? allowed": ("ML_ASSETS_NOTIFY", "notify.yaml"),
}
ASKED_OF = {"is not known; did you mean …? allowed": ("notify",)}
ROW = payload(requests(1, seed=3))[0]
BODIES: Mapping[str, tuple[int, str, object]] = {
    "required field is missing": (422, "/predict", {name: value for name, value in ROW.items() if name != "distance"}),
    "unknown field": (422, "/predict", ROW | {"colour": "red"}),
    "Expected …, got": (422, "/predict", ROW | {"distance": "far"}),
    "the body is not JSON": (400, "/predict", None),
    "the body is over … bytes": (413, "/predict", [ROW] * 20_000),
    "no such route": (404, "/predictt", ROW),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the shop's product, an empty home and some files, in which commands are run."""
    for name in [name for name in os.environ if name.startswith(("ML_ASSETS_", "DAGSTER_"))]:
        monkeypatch.delenv(name)
    Broken({}, ("", ""), ()).write(tmp_path / "products")
    for name in ("orders.csv", "orders.parquet"):
        (tmp_path / name).write_bytes(csv_bytes(rows("2024-03-01")))
    (tmp_path / "notify.yaml").write_text("channels:\n  - {kind: slak}\n")
    monkeypatch.setenv("ML_ASSETS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ML_ASSETS_PRODUCTS", str(tmp_path / "products"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(quote: str, message: str) -> bool:
    """Whether a message has the parts of a quote, in their order."""
    return re.search(".*".join(re.escape(part.strip()) for part in quote.split("…")), message, re.DOTALL) is not None


def refusal(arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """What a command that fails prints as its error."""
    monkeypatch.setattr("sys.argv", ["ml-assets", *arguments])
    with pytest.raises(SystemExit) as ended:
        run()
    error = capsys.readouterr().err
    assert ended.value.code in (1, 2, 3)
    assert "Traceback" not in error
    return error


def test_every_message_that_is_provoked_here_stands_in_the_page() -> None:
    provoked = {*DECLARED, *COMMANDS, *ENVIRON, *BODIES}
    assert provoked <= set(QUOTED)
    assert len(provoked) > 0.75 * len(QUOTED)


@pytest.mark.parametrize("quote", DECLARED)
def test_a_declaration_is_refused_as_the_page_says(
    quote: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name, old, new = DECLARED[quote]
    file = folder / "products" / "shop" / name
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    error = refusal(("plan", "shop"), monkeypatch, capsys)
    assert said(quote, error), error
    assert f"shop/{name}:" in error


@pytest.mark.parametrize("quote", COMMANDS)
def test_a_command_is_refused_as_the_page_says(
    quote: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    error = refusal(tuple(word.replace("PORT", port) for word in COMMANDS[quote]), monkeypatch, capsys)
    assert said(quote, error), error


@pytest.mark.parametrize("quote", ENVIRON)
def test_a_setting_is_refused_as_the_page_says(
    quote: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(*ENVIRON[quote])
    error = refusal(ASKED_OF.get(quote, ("status", "shop")), monkeypatch, capsys)
    assert said(quote, error), error


def test_requests_are_refused_as_the_page_says(tmp_path: Path) -> None:
    app = app_of(store_of_one(tmp_path / "store"), PredictionLog(tmp_path / "log"))
    for quote, (status, path, content) in BODIES.items():
        body = b"{" if content is None else json.dumps(content).encode()
        answered = within(app, lambda body=body, path=path: ask(app, body, path=path))  # type: ignore[misc]
        assert answered[0] == status
        assert said(quote, answered[1]["detail"][0]["message"]), answered
