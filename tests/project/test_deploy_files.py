"""deploy/: one image without root, parts that can be asked how they are, no secret, and manifests that Kubernetes takes."""

import re
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from ml_assets.spec.product import load_all
from resources.settings import ROOT, SECRETS, settings, variable

DEPLOY = ROOT / "deploy"
OURS = ("mlflow", "daemon", "worker", "webserver", "endpoint-flights-a", "endpoint-flights-b")
OVERLAYS = ("staging", "production")
KUBERNETES = "1.32"


@cache
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return loaded


@cache
def rendered(overlay: str) -> list[dict[str, Any]]:
    """The manifests of an overlay, as kubectl renders them; it asks no cluster."""
    if shutil.which("kubectl") is None:
        pytest.fail("kubectl is not installed: it renders the manifests of deploy/kustomize")
    command = ["kubectl", "kustomize", str(DEPLOY / "kustomize" / "overlays" / overlay)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def of_kind(overlay: str, kind: str) -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one for one in rendered(overlay) if one["kind"] == kind}


def instructions() -> list[str]:
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_the_image_runs_without_root_and_names_its_commit() -> None:
    lines = instructions()
    last = len(lines) - 1 - next(at for at, line in enumerate(reversed(lines)) if line.startswith("FROM"))
    runtime = "\n".join(lines[last:])
    assert re.search(r"^USER 10001:10001$", runtime, re.MULTILINE)
    assert "pip install" not in runtime, "what builds stays in the first stage"
    assert 'test -n "$COMMIT"' in runtime
    assert "ML_ASSETS_COMMIT=$COMMIT" in runtime
    assert any("--require-hashes" in line for line in lines)


def test_every_dependency_of_the_image_is_locked_as_the_project_s_own() -> None:
    """A lock that differs would run other code than is tested."""
    own, image = (locked(path) for path in (ROOT / "requirements.lock", DEPLOY / "requirements.lock"))
    assert {name: version for name, version in image.items() if own.get(name) != version} == {}
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *needed["dependencies"],
        *(line for extra in ("postgres", "s3", "celery") for line in needed["optional-dependencies"][extra]),
    ]
    names = {re.split(r"[<>=\[; ]", line)[0].lower() for line in wanted if "win32" not in line or "!=" in line}
    assert names <= image.keys()
    assert not {"pytest", "moto", "ruff", "selenium"} & image.keys()


def locked(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9_.-]+)(?:\[[^]]*\])?==(\S+)", path.read_text(), re.MULTILINE))


def test_what_the_image_copies_is_not_ignored() -> None:
    kept = {line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {part for line in instructions() if line.startswith("COPY") and "--from" not in line for part in line.split()[1:-1]}
    assert copied == kept
    assert all((ROOT / name).exists() for name in copied)


@pytest.mark.parametrize("name", OURS)
def test_each_of_our_containers_writes_only_where_it_may_and_can_be_asked_how_it_is(name: str) -> None:
    service = compose()["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["healthcheck"]["test"][:4] == ["CMD", "python", "-m", "ml_assets.healthy"]
    assert "ports" not in service, "only the proxy is reached from outside"
    assert set(service.get("secrets", [])) <= set(compose()["secrets"])


def test_every_setting_of_a_container_is_one_that_the_project_reads() -> None:
    known = {variable(name) for name in vars(settings({"ML_ASSETS_HOME": "/home"}))} | {
        f"{variable(name)}_FILE" for name in (*SECRETS, "keys")
    }
    given = {name for service in compose()["services"].values() for name in service.get("environment", {})}
    assert {name for name in given if name.startswith("ML_ASSETS_")} <= known
    literals = yaml.safe_load((DEPLOY / "kustomize" / "base" / "kustomization.yaml").read_text())["configMapGenerator"][0][
        "literals"
    ]
    assert {line.partition("=")[0] for line in literals if line.startswith("ML_ASSETS_")} <= known


def test_every_variable_that_has_to_be_given_is_in_the_example() -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    required = set(re.findall(r"\$\{(\w+):\?", text))
    plain = set(re.findall(r"\$\{(\w+)\}", text))
    example = set(re.findall(r"^(\w+)=", (DEPLOY / "env.example").read_text(), re.MULTILINE))
    assert required | plain <= example


def test_no_secret_is_in_the_files() -> None:
    for path in DEPLOY.rglob("*"):
        if path.is_file() and path.suffix != ".lock":
            text = path.read_text()
            for url in re.findall(r"\w+://[^\s:/@]+:([^\s@]+)@", text):
                assert url == "PASSWORD", path


def test_endpoints_listen_on_the_port_of_their_product() -> None:
    port = load_all([ROOT / "ml_assets" / "products"])["flights"].endpoint.port
    for name in ("endpoint-flights-a", "endpoint-flights-b"):
        command = compose()["services"][name]["command"]
        assert command[command.index("--port") + 1] == str(port)


@pytest.mark.long
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kubernetes_takes_every_manifest(overlay: str) -> None:
    import kubernetes_validate

    for manifest in rendered(overlay):
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
    assert {"Deployment", "Service", "PodDisruptionBudget", "Ingress", "NetworkPolicy"} <= {
        one["kind"] for one in rendered(overlay)
    }


@pytest.mark.long
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_each_pod_is_restricted_and_probed(overlay: str) -> None:
    for name, deployment in of_kind(overlay, "Deployment").items():
        pod = deployment["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["enableServiceLinks"] is False, "a service called mlflow would set MLFLOW_PORT"
        assert len(pod["containers"]) == (2 if name == "webserver" else 1)
        for container in pod["containers"]:
            assert_restricted_and_probed(container)


def assert_restricted_and_probed(container: dict[str, Any]) -> None:
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    ports = {port["name"] for port in container.get("ports", [])}
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        probe = container[name]
        assert probe["httpGet"]["port"] in ports if "httpGet" in probe else probe["exec"]["command"][2] == "ml_assets.healthy"
    assert "requests" in container["resources"]
    assert not [
        one
        for one in container.get("env", [])
        if re.search("KEY|SECRET|PASSWORD|TOKEN", one["name"]) and "value" in one and not one["value"].startswith("/run/secrets/")
    ]


@pytest.mark.long
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_endpoint_is_replaced_one_by_one_and_never_without_a_replica(overlay: str) -> None:
    deployment = of_kind(overlay, "Deployment")["endpoint-flights"]["spec"]
    budget = of_kind(overlay, "PodDisruptionBudget")["endpoint-flights"]["spec"]
    assert deployment["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert 1 <= budget["minAvailable"] < deployment["replicas"]
    assert budget["selector"] == deployment["selector"]
    service = of_kind(overlay, "Service")["endpoint-flights"]["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    assert service["selector"].items() <= labels.items()


@pytest.mark.long
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_dagster_and_mlflow_are_reached_by_login_alone(overlay: str) -> None:
    ingresses = of_kind(overlay, "Ingress")
    assert ingresses["mlflow"]["metadata"]["annotations"]["nginx.ingress.kubernetes.io/auth-type"] == "basic"
    (service,) = of_kind(overlay, "Service")["webserver"]["spec"]["ports"]
    webserver, proxy = of_kind(overlay, "Deployment")["webserver"]["spec"]["template"]["spec"]["containers"]
    assert service["targetPort"] in {port["name"] for port in proxy["ports"]}
    assert "ports" not in webserver
    assert "--host" not in webserver["args"], "it listens on the loopback"
    assert all(ingress["spec"]["tls"] for ingress in ingresses.values())


def test_the_health_check_of_the_image_tells_well_from_not_well(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ml_assets.healthy", "http://127.0.0.1:9/health"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "http://127.0.0.1:9/health" in done.stderr


def test_compose_has_the_webserver_on_the_proxys_loopback_alone() -> None:
    webserver = compose()["services"]["webserver"]
    assert webserver["network_mode"] == "service:proxy"
    assert "networks" not in webserver
    assert "--host" not in webserver["command"]
    mounted = {name for name, service in compose()["services"].items() if "proxy" in service.get("secrets", [])}
    assert mounted == {"proxy", "webserver", "daemon", "worker"}, "who else has the secret could name anybody"
