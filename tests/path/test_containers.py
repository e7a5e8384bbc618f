"""Each container's command of deploy/compose.yaml as a plain process, with its environment: on PostgreSQL, moto's S3, Redis and
an MLflow server. A delivery to the object store comes out as a release, and nothing of it depends on a folder of one machine."""

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from ml_assets.cli.shared.workspace import Workspace
from ml_assets.services.verify.home import verify
from ml_assets.serving.http.api_keys import new_key
from resources.http.dagster_webserver import Webserver
from resources.settings import ROOT, settings
from resources.tracking.mlflow_catalogue import Catalogue
from tests.support.browser import eventually
from tests.support.command_line import free_port
from tests.support.homes.shop import DAYS, csv_bytes, rows, shop
from tests.support.object_store import S3, object_store
from tests.support.postgres import new_database, postgres
from tests.support.redis import redis_server
from tests.support.shared import link_parsed_projects

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]
SECONDS = 900
RUNS = "query { runsOrError { ... on Runs { results { id status jobName } } } }"
GIVEN = {"S3_ACCESS_KEY": "testing", "S3_SECRET_KEY": "testing", "COMMIT": "c" * 40}


@dataclass
class Containers:
    """`compose.yaml`, with names of hosts, ports and mounted files as they are here."""

    folder: Path
    s3: S3
    products: Path
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    ports: dict[tuple[str, str], int] = field(default_factory=dict)

    @property
    def services(self) -> dict[str, Any]:
        loaded: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]
        return loaded

    def port(self, service: str, inside: str) -> int:
        return self.ports.setdefault((service, inside), free_port())

    def here(self, service: str, text: str) -> str:
        """A value of the file as it is on this machine."""
        text = re.sub(r"\$\{(\w+)(?::[-?]([^}]*))?\}", lambda m: GIVEN.get(m[1], m[2] or ""), text).replace("$$", "$")
        text = text.replace("/run/secrets/", f"{self.folder}/secrets/").replace("http://s3:8333", self.s3.url)
        text = (
            re.sub(r"http://endpoint-flights-[ab]:", "http://127.0.0.1:", text)
            .replace("mlflow:5000", f"127.0.0.1:{self.port('mlflow', '5000')}")
            .replace("0.0.0.0", "127.0.0.1")
        )
        return re.sub(r"\b(3000|3001|5000|8810)\b", lambda m: str(self.port(service, m[1])), text).replace("flights", "shop")

    def environ(self, service: str) -> dict[str, str]:
        """The variables of the container, those that its image sets, and no other of ours."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("ML_ASSETS_", "DAGSTER_", "MLFLOW_", "AWS_"))}
        given = {name: self.here(service, str(value)) for name, value in self.services[service]["environment"].items()}
        home = self.folder / service
        if not home.exists():
            link_parsed_projects(home)
        image = {"ML_ASSETS_HOME": str(home), "ML_ASSETS_PRODUCTS": str(self.products), "ML_ASSETS_COMMIT": "c" * 40}
        return {**kept, **image, **given, "HOME": str(home), "PATH": f"{Path(sys.prefix) / 'bin'}:{kept['PATH']}"}

    def start(self, service: str) -> None:
        """Run its command, and wait until its own health check says that it is well."""
        spec = self.services[service]
        command = [self.here(service, str(part)) for part in (*spec.get("entrypoint", ["ml-assets"]), *spec["command"])]
        if "up" in command:
            for option, inside in (("--dagster-port", "3000"), ("--health-port", "3001")):
                command += [option, str(self.port(service, inside))]
        with (self.folder / f"{service}.log").open("wb") as log:
            self.processes[service] = subprocess.Popen(
                command, env=self.environ(service), cwd=self.folder / service, stdout=log, stderr=log, start_new_session=True
            )
        eventually(lambda: self.is_well(service), what=f"{service} to be well", seconds=SECONDS)

    def is_well(self, service: str) -> bool:
        assert self.processes[service].poll() is None, (self.folder / f"{service}.log").read_text()[-3000:]
        check = [self.here(service, part) for part in self.services[service]["healthcheck"]["test"][1:]]
        return subprocess.run(check, env=self.environ(service), capture_output=True, check=False).returncode == 0

    def stop(self) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=30)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def containers(tmp_path: Path) -> Iterator[Containers]:
    products = shop(tmp_path / "declared").declared.parent
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "redis.conf").write_text("requirepass a-password-of-redis\n")
    with postgres() as folder, object_store() as s3, ExitStack() as stack:
        s3.make_bucket("ml-assets")
        running = Containers(tmp_path, s3, products)
        command = [running.here("redis", part) for part in running.services["redis"]["command"]]
        broker = stack.enter_context(redis_server(command=command))
        (secrets / "celery").write_text(broker.url.replace("//", "//:a-password-of-redis@"))
        for name, driver in (("ledger", "postgresql+psycopg"), ("dagster", "postgresql"), ("mlflow", "postgresql+psycopg")):
            url = new_database(folder, name)
            (secrets / name).write_text(url.replace("postgresql://", f"{driver}://"))
        key, line = new_key("admin")
        (secrets / "key").write_text(key)
        (secrets / "keys").write_text(line)
        (secrets / "proxy").write_text("a secret of the proxy")
        yield running
        running.stop()


def test_every_command_of_compose_works_on_postgresql_and_s3(containers: Containers, monkeypatch: pytest.MonkeyPatch) -> None:
    for service in ("mlflow", "daemon", "worker", "webserver"):
        containers.start(service)
    for name, value in containers.environ("daemon").items():
        if name.startswith(("AWS_", "ML_ASSETS_")):
            monkeypatch.setenv(name, value)
    space = Workspace(settings(containers.environ("daemon")))
    product = shop_of(containers)
    for day in DAYS[:2]:
        space.landing.put(product, "orders", day, csv_bytes(rows(day)))
    eventually(lambda: space.ledger.pointer("shop", "production"), what="a release that serves", seconds=SECONDS)
    webserver = Webserver(f"http://127.0.0.1:{containers.port('webserver', '3000')}")

    def ended() -> list[str]:
        return [run["status"] for run in webserver.ask(RUNS)["results"] if run["jobName"] == "shop_path"]

    eventually(lambda: ended().count("SUCCESS") >= 2, what="two runs in Dagster's database", seconds=SECONDS)
    assert list((containers.folder / "worker" / "dagster" / "storage").iterdir()), "runs are the worker's"
    assert artifacts_of(containers, space), "the server keeps the run's artifacts, in the bucket"
    assert not list(containers.folder.glob("*/mlflow/artifacts/*")), "and no machine does"
    assert not (containers.folder / "daemon" / "ledger.db").exists()
    assert not list((containers.folder / "daemon" / "dagster").glob("history/**/*.db")), "Dagster's runs are in PostgreSQL"
    assert verify(space.settings).is_clean
    for service in ("endpoint-flights-a", "endpoint-flights-b"):
        containers.start(service)
    space.ledger.close()


def test_the_broker_of_compose_asks_for_its_password_and_is_well_with_it(containers: Containers) -> None:
    port = (containers.folder / "secrets" / "celery").read_text().partition("127.0.0.1:")[2].partition("/")[0]

    def sh(command: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)

    assert "NOAUTH" in sh(f"redis-cli -p {port} ping").stdout
    kind, check = containers.services["redis"]["healthcheck"]["test"]
    check = containers.here("redis", check).replace("redis-cli", f"redis-cli -p {port}")
    assert (kind, sh(check).returncode) == ("CMD-SHELL", 0)
    (containers.folder / "secrets" / "redis.conf").write_text("requirepass another")
    assert sh(check).returncode != 0


def shop_of(containers: Containers) -> Any:
    from ml_assets.spec.product import load

    return load(containers.products / "shop")


def artifacts_of(containers: Containers, space: Workspace) -> list[str]:
    """The objects of the product's MLflow runs; its experiment names the server as their place."""
    client = Catalogue(space.settings.mlflow, space.settings.mlflow_artifacts).client()
    experiment = client.get_experiment_by_name("shop")
    assert experiment is not None
    assert experiment.artifact_location.startswith("mlflow-artifacts:")
    with urllib.request.urlopen(f"{space.settings.mlflow}/health", timeout=10) as answer:
        assert answer.status == 200
    listing = containers.s3.direct("GET", "/ml-assets?list-type=2&prefix=mlflow/").decode()
    return re.findall(r"<Key>([^<]+)</Key>", listing)
