"""docs/your-own-data.md: each command of it, run in its order in one folder, does what it says."""

import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import polars as pl
import pytest

from resources.settings import ROOT
from tests.support.browser import eventually, responds
from tests.support.command_line import free_port, replace_in
from tests.support.drafted_tables import tables
from tests.support.tutorial_pictures import packaged

pytestmark = pytest.mark.timeout(900)  # all commands of the page are run by the first test
TEXT = (ROOT / "docs" / "your-own-data.md").read_text()
COMMANDS = [line for block in re.findall(r"^```sh\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL) for line in block.splitlines()]
SHORTER = {"ml-assets demo temps": "ml-assets demo temps --partitions 2"}
"""The whole year takes minutes; two months of it serve."""


@dataclass
class Walk:
    """The folder that a reader is in, and what the commands so far printed."""

    folder: Path
    outputs: dict[str, str] = field(default_factory=dict)
    servers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def run(self, command: str) -> None:
        """One command of the page, as it is typed there."""
        if command.startswith("cd "):
            self.folder = self.folder / command.removeprefix("cd ")
        elif command.startswith("ml-assets serve"):
            self._serve(command)
        else:
            self.outputs[command] = self._output(SHORTER.get(command, command))

    @property
    def port(self) -> int:
        return int(re.findall(r"port: (\d+)", (self.folder / "products" / "temps" / "product.yaml").read_text())[0])

    @property
    def _environ(self) -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if not name.startswith(("ML_ASSETS_", "DAGSTER_"))}

    def _argv(self, command: str) -> list[str]:
        words = shlex.split(command.replace(":8810/", f":{self.port}/") if command.startswith("curl") else command)
        return [sys.executable, "-m", "ml_assets", *words[1:]] if words[0] == "ml-assets" else words

    def _output(self, command: str) -> str:
        argv = self._argv(command)
        done = subprocess.run(argv, cwd=self.folder, env=self._environ, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    def _serve(self, command: str) -> None:
        log = (self.folder / "serve.log").open("wb")
        with log:
            self.servers.append(subprocess.Popen(self._argv(command), cwd=self.folder, env=self._environ, stdout=log, stderr=log))
        eventually(lambda: responds(f"http://127.0.0.1:{self.port}/readyz"), what="the endpoint of temps")


def prepare(folder: Path) -> None:
    """The files that the page names, where it names them."""
    temps = packaged("vega_datasets", "_data", "seattle-temps.csv").read_bytes()
    (folder / "seattle-temps.csv").write_bytes(temps)
    january = [line.replace(b"2010/01/", b"2011/01/") for line in temps.splitlines() if line.startswith(b"2010/01/")]
    (folder / "january.csv").write_bytes(b"\n".join([temps.splitlines()[0], *january, b""]))
    (folder / "modechoice.csv").write_bytes(packaged("statsmodels", "datasets", "modechoice", "modechoice.csv").read_bytes())
    (orders,) = [table.frame for table in tables(5) if table.name == "orders"]
    with duckdb.connect(str(folder / "shop.duckdb")) as database:
        database.register("frame", orders.head(1500).to_arrow())
        database.execute("create table orders as select * from frame")


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    """All commands of the page, one after the other."""
    walk = Walk(tmp_path_factory.mktemp("tutorial"))
    prepare(walk.folder)
    try:
        for command in COMMANDS:
            if command.startswith("ml-assets ci init"):
                _as_repository(walk.folder)
            walk.run(command)
            if command.startswith("ml-assets new temps"):  # the port of the page may be in use here
                replace_in(walk.folder / "products" / "temps" / "product.yaml", {f"port: {walk.port}": f"port: {free_port()}"})
    finally:
        for server in walk.servers:
            server.terminate()
            server.wait(30)
    return walk


def _as_repository(folder: Path) -> None:
    identity = ["-c", "user.name=Reader", "-c", "user.email=reader@example.com"]
    for words in (["init", "--quiet", "--initial-branch", "main"], ["add", "."], [*identity, "commit", "--quiet", "-m", "Begin"]):
        subprocess.run(["git", *words], cwd=folder, check=True)


def test_three_commands_lead_to_a_served_prediction(walk: Walk) -> None:
    assert "ACCEPT" in walk.outputs["ml-assets demo temps"]
    (curl,) = [outputs for command, outputs in walk.outputs.items() if command.startswith("curl")]
    value = json.loads(curl)["predictions"][0]["value"]
    assert 20 < value < 60, "degrees Fahrenheit of a night in December, by a model of January"


def test_the_page_shows_what_new_prints_and_writes(walk: Walk) -> None:
    outputs = walk.outputs["ml-assets new temps ../seattle-temps.csv --label temp"]
    (shown,) = re.findall(r"^```text\n(8,759 rows.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    same = [line for line in shown.splitlines() if line and "weather/" not in line]
    assert not [line for line in same if line not in outputs]
    for file in ("product.yaml", "contract.py", "dbt/temps_features.sql"):
        assert (walk.folder / "products" / "temps" / file).is_file()


def test_every_other_command_of_the_page_succeeds(walk: Walk) -> None:
    assert set(walk.outputs) == {command for command in COMMANDS if not command.startswith(("cd ", "ml-assets serve"))}
    assert "2011-01.csv" in walk.outputs["ml-assets deliver temps seattle_temps ../january.csv --partition 2011-01"]
    assert (walk.folder / ".github" / "workflows" / "ml-assets.yml").is_file()


def test_the_profile_is_one_page_that_fetches_and_runs_nothing(walk: Walk) -> None:
    page = (walk.folder / ".ml_assets" / "history" / "temps" / "profile.html").read_text()
    assert "default-src 'none'" in page
    assert not re.search(r"<script|https?://|<link|<img|@import|url\(", page)
    assert "tells the label alone" not in page or "ROC AUC" in page or "R2" in page


def test_the_limits_on_the_page_are_those_that_are_drafted(tmp_path: Path) -> None:
    frame = pl.read_csv(packaged("vega_datasets", "_data", "seattle-weather.csv"))
    assert (frame["temp_max"].min(), frame["temp_max"].max()) == (-1.6, 35.6)
    source = packaged("vega_datasets", "_data", "seattle-weather.csv")
    walk = Walk(tmp_path)
    walk.run("ml-assets init weather")
    walk.run("cd weather")
    walk.run(f"ml-assets new sunny {source} --label weather --positive sun")
    (shown,) = re.findall(r"^```python\n(    # -1.6.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    assert shown in (walk.folder / "products" / "sunny" / "contract.py").read_text()
