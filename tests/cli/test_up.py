"""`ml-assets up` and `dev`: all parts start, work, come back one by one, and end together; nothing is left behind."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import yaml

from ml_assets.services.supervision.parts import Ports, environment, parts_of
from ml_assets.services.supervision.systemd import write_units
from ml_assets.services.supervision.up import prepare
from resources.dagster_instance import prepare_home, workspace_file
from resources.ledger.identity import AnotherLedger, AnotherStore
from resources.settings import ROOT, settings
from tests.ledger.test_identity import used
from tests.support import command_line
from tests.support.browser import eventually
from tests.support.command_line import Days, free_port
from tests.support.homes.small_home import small_home
from tests.support.supervision import is_over, kill_each

KINDS = ("daemon", "webserver", "mlflow", "endpoint:flights")


def test_installed_code_loads_what_a_checkout_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "")  # put back at the end
    current = settings({"ML_ASSETS_HOME": str(tmp_path)})
    prepare_home(current)
    assert yaml.safe_load(workspace_file(current).read_text()) == yaml.safe_load((ROOT / "workspace.yaml").read_text())


@pytest.mark.parametrize("command", ["dev", "up"])
def test_a_taken_port_is_named_with_the_option_to_choose_another_before_anything_starts(tmp_path: Path, command: str) -> None:
    days = command_line.days_in(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = str(days.invoke(command, "--dagster-port", str(port), "--health-port", str(port)).exception)
    assert f"port {port} on 127.0.0.1 for webserver: Address already in use; choose another with --dagster-port" in refused
    assert f"port {port} on 127.0.0.1 for health" in refused
    assert not (days.home / "logs").exists()


def test_a_part_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    refused = str(command_line.days_in(tmp_path).invoke("up", "--only", "daemon,endpoints").exception)
    assert "there is no part endpoints; there are: daemon, endpoint, endpoint:flights, mlflow, webserver" in refused


@pytest.mark.parametrize("name", ["LEDGER", "STORE"])
def test_nothing_starts_where_a_stray_variable_names_another_ledger_or_store(tmp_path: Path, name: str) -> None:
    days = command_line.days_in(tmp_path)
    used(days.home).ledger.close()
    url = f"sqlite:///{tmp_path / 'other.db'}" if name == "LEDGER" else (tmp_path / "elsewhere").as_uri()
    strayed = settings({**days.environ, f"ML_ASSETS_{name}": url})
    daemon = [part for part in parts_of(strayed, [days.flights], Ports()) if part.kind == "daemon"]
    with pytest.raises((AnotherLedger, AnotherStore), match=f"ML_ASSETS_{name}"):
        prepare(strayed, daemon)
    assert not (days.home / "dagster").exists()
    assert not (tmp_path / "elsewhere").exists()


def test_units_are_written_for_the_parts_that_are_asked_for(tmp_path: Path) -> None:
    done = command_line.days_in(tmp_path).invoke("up", "--systemd", str(tmp_path / "units"), "--only", "endpoint")
    assert done.output.splitlines() == [f"{tmp_path}/units/ml-assets{name}" for name in (".target", "-endpoint-flights.service")]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")
def test_units_are_those_that_systemd_takes_and_have_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, days = tmp_path / "units", command_line.days_in(tmp_path / "a b 100%")
    (tmp_path / "token").write_text("canary-token")
    monkeypatch.setenv("ML_ASSETS_DAGSTER_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("ML_ASSETS_KEY", "canary-key")
    monkeypatch.setenv("SLACK_HOOK", "canary-hook")
    urls = {"LEDGER": "postgresql://ann:canary-ledger@db/x", "MLFLOW": "postgresql://ann:canary-mlflow@db/y"}
    current = settings({**os.environ, **days.environ, **{f"ML_ASSETS_{name}": url for name, url in urls.items()}})
    current.logs.mkdir(parents=True)
    parts = parts_of(current, [days.flights], Ports())
    files = write_units(folder, current, parts, environment(current, "http://127.0.0.1:5000"))
    assert [file.name for file in files] == [
        "ml-assets.target",
        *(f"ml-assets-{kind.replace(':', '-')}.service" for kind in KINDS),
    ]
    texts = {file.name: file.read_text() for file in files}
    assert "canary" not in "".join(texts.values())
    for name in ("KEY", "LEDGER", "MLFLOW"):
        assert f"may hold a secret, so it is for the file below: ML_ASSETS_{name}\n" in texts["ml-assets-daemon.service"]
    assert "file below: MLFLOW_BACKEND_STORE_URI\n" in texts["ml-assets-mlflow.service"]
    assert f'Environment="ML_ASSETS_DAGSTER_TOKEN_FILE={tmp_path}/token"' in texts["ml-assets-daemon.service"]
    assert all("Restart=on-failure" in text for name, text in texts.items() if name.endswith(".service"))
    verified = subprocess.run(["systemd-analyze", "verify", *files], capture_output=True, text=True, check=False)
    assert not [line for line in verified.stderr.splitlines() if "ml-assets" in line], verified.stderr


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Days:
    return small_home(tmp_path_factory, tmp_path_factory.mktemp("days"))


@contextmanager
def started(days: Days, log: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """The command as a user starts it, with a habit of this shell that must not reach its children."""
    environ: Mapping[str, str] = {**days.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [str(Path(sys.prefix, "bin", "ml-assets")), *options]
    with log.open("wb") as file:
        process = subprocess.Popen(command, env=environ, stdout=file, stderr=file)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(60)


@pytest.mark.long
def test_each_part_of_a_home_comes_back_alone_and_sigterm_leaves_no_process(days: Days, tmp_path: Path) -> None:
    log, dagster, mlflow, port = tmp_path / "up.log", free_port(), free_port(), free_port()
    ports = ("--dagster-port", str(dagster), "--mlflow-port", str(mlflow), "--health-port", str(port))
    with started(days, log, "up", *ports) as process:
        eventually(lambda: "all ready" in log.read_text(), what=f"all parts ({log})", seconds=240)
        endpoint = f"http://127.0.0.1:{days.flights.endpoint.port}"
        for url in (f"http://127.0.0.1:{dagster}/server_info", f"http://127.0.0.1:{mlflow}/health", endpoint + "/version"):
            assert url.rpartition("/")[0] in log.read_text()
            assert urllib.request.urlopen(url, timeout=20).status == 200
        assert set(kill_each(port, 240)) == set(KINDS)
        left = psutil.Process(process.pid).children(recursive=True)
        assert not [child for child in left if "PYTHONDONTWRITEBYTECODE" in child.environ()]
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, log.read_text()
        assert all(map(is_over, left))
