"""The operator's rollback: one request, the whole bundle, with nothing but the home's own files."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ml_assets.serving.client import http_client as client
from ml_assets.serving.client.http_client import EndpointRefused
from ml_assets.serving.client.server_process import ServerProcess
from ml_assets.serving.http.api_keys import new_key
from resources.endpoints.moves import moves_of
from tests.support.browser import eventually
from tests.support.command_line import Days
from tests.support.homes.small_home import small_home


@pytest.fixture
def days(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Days]:
    """A copy of the small home in which two releases answered, without its Dagster and its MLflow."""
    copy = small_home(tmp_path_factory, tmp_path / "copy")
    for folder in ("dagster", "mlflow", "landing", "cache"):
        shutil.rmtree(copy.home / folder, ignore_errors=True)
    return copy


def releases(days: Days) -> list[str]:
    space = days.open()
    names = [move.release for move in moves_of(space.ledger, "flights", "production")]
    space.ledger.close()
    return names


def serve(days: Days, **more: str) -> ServerProcess:
    import sys

    unreachable = {
        "ML_ASSETS_MLFLOW": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
        "https_proxy": "http://127.0.0.1:9",
    }
    return ServerProcess([sys.executable, "-m", "ml_assets", "serve", "flights"], environ={**days.environ, **unreachable, **more})


def golden(days: Days, release: str) -> tuple[list[dict[str, object]], list[float]]:
    space = days.open()
    bundle = next(move.bundle for move in moves_of(space.ledger, "flights", "production") if move.release == release)
    content = json.loads(space.snapshots.read(bundle, "golden.json"))
    space.ledger.close()
    return content["requests"], content["scores"]


@pytest.mark.long
def test_a_rollback_over_http_brings_the_whole_bundle_back(days: Days) -> None:
    first, second = releases(days)
    with serve(days) as server:
        assert client.release(server.base_url)["release"] == second
        assert client.release(server.base_url)["features"]["engine"] == "compiled"
        version = client.rollback(server.base_url, reason="the drill")
        assert (version["release"], version["reason"], version["kept_in_memory"]) == (first, "the drill", second)
        assert version["by"].endswith("over HTTP")
        rows, scores = golden(days, first)
        answer = client.predict(server.base_url, rows)
        assert answer["release"] == first
        assert [p["probability"] for p in answer["predictions"]] == scores
        with pytest.raises(EndpointRefused, match="no earlier release") as refused:
            client.rollback(server.base_url)
        assert refused.value.status == 409
        assert client.rollback(server.base_url, to=second)["release"] == second
        assert client.predict(server.base_url, golden(days, second)[0])["release"] == second
    assert releases(days) == [first, second, first, second]
    with serve(days) as server:
        assert client.release(server.base_url)["release"] == second


@pytest.mark.long
def test_with_compilation_off_the_real_server_gives_the_recorded_scores(days: Days) -> None:
    release = releases(days)[-1]
    rows, scores = golden(days, release)
    with serve(days, ML_ASSETS_COMPILED="false") as server:
        version = client.release(server.base_url)
        for part, engine in (("features", "duckdb"), ("model", "catboost")):
            assert version[part] == {"engine": engine, "why_not_compiled": "ML_ASSETS_COMPILED is false"}
        together = client.predict(server.base_url, rows)["predictions"]
        alone = [client.predict(server.base_url, [row])["predictions"][0] for row in rows]
        text = client.metrics(server.base_url)
    assert [answer["probability"] for answer in together] == [answer["probability"] for answer in alone] == scores
    assert 'ml_assets_features_compiled{product="flights"} 0.0' in text
    assert 'ml_assets_model_compiled{product="flights"} 0.0' in text


@pytest.mark.long
def test_after_a_start_a_rollback_needs_no_byte_of_the_store(days: Days) -> None:
    first, second = releases(days)
    rows, scores = golden(days, first)
    with serve(days) as server:
        eventually(lambda: client.release(server.base_url)["kept_in_memory"] == first, what="the release before")
        shutil.rmtree(days.home / "store")
        shutil.rmtree(days.home / "cache")
        assert client.release(server.base_url)["release"] == second
        assert client.rollback(server.base_url)["release"] == first
        answer = client.predict(server.base_url, rows)
    assert (answer["release"], [prediction["probability"] for prediction in answer["predictions"]]) == (first, scores)


@pytest.mark.long
def test_a_release_to_go_back_to_that_is_damaged_is_told_and_what_answers_goes_on(days: Days) -> None:
    first, second = releases(days)
    space = days.open()
    bundle = next(move.bundle for move in moves_of(space.ledger, "flights", "production") if move.release == first)
    model = space.snapshots.path(bundle, "model.cbm")
    space.ledger.close()
    model.chmod(0o644)
    model.write_bytes(b"CBM1 damaged")
    with serve(days) as server:
        eventually(lambda: b"isn't in memory" in Path(server._stderr.name).read_bytes(), what="the trouble")
        version = client.release(server.base_url)
        assert (version["release"], version["kept_in_memory"]) == (second, None)
        assert client.predict(server.base_url, golden(days, second)[0])["release"] == second


@pytest.mark.long
def test_a_start_with_a_damaged_release_answers_with_the_one_before_and_says_so(days: Days) -> None:
    first, second = releases(days)
    space = days.open()
    entry = space.ledger.pointer("flights", "production")
    assert entry
    model = space.snapshots.path(entry.body.bundle, "model.cbm")
    space.ledger.close()
    model.chmod(0o644)
    model.write_bytes(b"CBM1 damaged")
    with serve(days) as server:
        ready, version = client.ready(server.base_url), client.release(server.base_url)
        assert (ready["release"], version["release"]) == (first, first)
        assert ready["instead_of"] == version["instead_of"]
        assert ready["instead_of"]
        import urllib.request

        with urllib.request.urlopen(server.base_url + "/metrics") as response:
            assert 'ml_assets_serves_instead_of_pointer{product="flights"} 1' in response.read().decode()
    assert releases(days) == [first, second]


@pytest.mark.long
def test_where_keys_are_configured_only_their_holders_move_the_endpoint(days: Days, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = releases(days)
    (predict, line), (admin, more) = new_key("predict"), new_key("admin")
    with serve(days, ML_ASSETS_KEYS=f"{line} {more}:ops") as server:
        rows, _ = golden(days, second)
        for key, status in ((None, 401), (predict, 403)):
            with pytest.raises(EndpointRefused) as refused:
                client.rollback(server.base_url, key=key)
            assert refused.value.status == status
        assert client.predict(server.base_url, rows, key=predict)["release"] == second
        monkeypatch.setenv("ML_ASSETS_KEY", admin)
        assert client.rollback(server.base_url)["by"] == "ops over HTTP"
        assert client.reload(server.base_url)["release"] == first
    written = [path for path in days.home.rglob("*") if path.is_file()]
    assert not [path for path in written if any(key.encode() in path.read_bytes() for key in (predict, admin))]
    assert any("predictions" in path.parts for path in written)
