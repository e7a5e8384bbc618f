"""A deployment as a team has it: products in a git repository of their own, loaded by a webserver and a daemon."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resources.dagster_instance import prepare_home
from resources.http.dagster_webserver import Webserver
from resources.settings import ROOT
from tests.support import browser
from tests.support.command_line import Days
from tests.support.homes.small_home import kept_environment
from tests.support.repository import Team

RELOAD = """
mutation {
  reloadRepositoryLocation(repositoryLocationName: "ml_assets") { ... on WorkspaceLocationEntry { loadStatus } }
}
"""
RUNS = """
query {
  runsOrError(filter: {tags: [{key: "dagster/sensor_name", value: "flights_stale"}]}) { ... on Runs { results { id status } } }
}
"""


@dataclass(frozen=True)
class Deployed:
    """What `ml-assets deploy` ended with, and printed."""

    code: int
    answer: dict[str, Any]
    progress: str

    @property
    def product(self) -> dict[str, Any]:
        """The outcome of the only product."""
        (product,) = self.answer["products"]
        return dict(product)


@dataclass(frozen=True)
class Deployment:
    """A team's repository, and the webserver that loads its products."""

    team: Team
    days: Days
    url: str

    @property
    def head(self) -> str:
        return self.team.git("rev-parse", "HEAD").strip()

    def reload(self) -> None:
        """Load the code location again, as somebody does who shipped new code."""
        assert Webserver(self.url).ask(RELOAD)["loadStatus"] == "LOADED"

    def runs(self) -> list[dict[str, str]]:
        """Every run that was launched because of what is stale, newest first."""
        results: list[dict[str, str]] = Webserver(self.url).ask(RUNS)["results"]
        return results

    def deploy(self, *options: str) -> Deployed:
        """Run `ml-assets deploy` in the team's checkout, which knows no home."""
        command = [sys.executable, "-m", "ml_assets", "deploy", "--url", self.url, "--json", *options]
        done = subprocess.run(command, cwd=self.team.root, env=_environ(), capture_output=True, text=True, check=False)
        return Deployed(done.returncode, json.loads(done.stdout or "{}"), done.stderr)


@contextmanager
def deployment(days: Days, *, is_running: bool) -> Iterator[Deployment]:
    """The products, committed to `main`, under a webserver and, with `is_running`, a daemon that runs what is launched."""
    team = Team(days.products, days.home, "flights")
    team.git("init", "--quiet", "--initial-branch", "main")
    (team.root / ".gitignore").write_text("__pycache__\n")
    team.commit("The products")
    prepare_home(days.open().settings)
    environ = kept_environment(days, days.home)
    with ExitStack() as stack:
        if is_running:
            stack.enter_context(daemon(environ, days.home / "daemon.log"))
        yield Deployment(team, days, stack.enter_context(browser.webserver(environ, days.home / "webserver.log")))


@contextmanager
def daemon(environ: dict[str, str], log: Path) -> Iterator[None]:
    """Dagster's daemon; at the end it is stopped with the code server and the runs of its process group."""
    command = [sys.executable, "-m", "dagster._daemon", "run", "-w", str(ROOT / "workspace.yaml")]
    with log.open("wb") as file:
        process = subprocess.Popen(command, env=environ, stdout=file, stderr=file, start_new_session=True)
    try:
        yield
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _environ() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("ML_ASSETS_", "DAGSTER_"))}
