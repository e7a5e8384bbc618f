"""docs/tutorials: each command, in its order, does what the page says, on three small days of flights or a small shop."""

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from resources.settings import ROOT
from tests.project.test_readme import ELSEWHERE, serving
from tests.support.command_line import Days
from tests.support.homes.small_home import DAYS, small_home
from tests.support.homes.walked_home import walked_shop

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]
TUTORIALS = ROOT / "docs" / "tutorials"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
UUID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
ML_ASSETS = f"{shlex.quote(sys.executable)} -m ml_assets"
ALLOWED = {"plan": (0, 2), "verify": (0,), "drift": (0,)}
"""Exit codes by command; 0 alone for others."""


def commands(page: str) -> list[str]:
    """The commands of a page in its order; one that goes over several lines is one."""
    blocks = BLOCK.findall((TUTORIALS / page).read_text())
    return [c for block in blocks for c in ([block.strip()] if block.startswith("curl") else block.splitlines()) if c]


def run(command: str, environ: Mapping[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", command], env=dict(environ), cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("page", ["flights.md", "monday.md", "audit.md"])
def test_every_command_of_a_tutorial_succeeds(page: str, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    days = small_home(tmp_path_factory, tmp_path_factory.mktemp("tutorial"))
    with serving(days, tmp_path / "serve.log"):
        given = predicted(days, tmp_path)
        for command in commands(page):
            if command in ELSEWHERE:
                continue
            typed = UUID.sub(given, re.sub(r"2013-0\d\b", DAYS[-1], command).replace(":8810/", f":{days.flights.endpoint.port}/"))
            done = run(typed.replace(".venv/bin/ml-assets", ML_ASSETS), days.environ, tmp_path)
            name = command.split()[1]
            assert done.returncode in ALLOWED.get(name, (0,)), (command, done.stdout, done.stderr)
            assert done.stdout.strip(), command


def predicted(days: Days, folder: Path) -> str:
    """The id of a prediction that was served, and logged."""
    (curl,) = [command for command in commands("flights.md") if command.startswith("curl")]
    answer = run(curl.replace(":8810/", f":{days.flights.endpoint.port}/"), days.environ, folder).stdout
    (number,) = UUID.findall(answer)
    time.sleep(2)  # the log is written once a second
    return number


def test_a_change_is_judged_as_the_tutorial_says(tmp_path_factory: pytest.TempPathFactory) -> None:
    team = walked_shop(tmp_path_factory, tmp_path_factory.mktemp("judged"))
    names = {f"GIT_{who}_{what}": "ann@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    same = {
        "ml_assets/products/flights": "products/shop",
        "flights": "shop",
        "s/^  depth: 8/  depth: 6/": "s/depth: 3/depth: 2/",
        "model.depth=6": "model.depth=2",
        "> 0.60/": "> 0.7/",
        "> 0.55/": "> 0.6/",
        ".venv/bin/ml-assets": ML_ASSETS,
    }
    codes: dict[int, int] = {}
    typed = commands("pull-request.md")
    for number, command in enumerate(typed):
        here = command
        for old, new in same.items():
            here = here.replace(old, new)
        done = run(here, {**os.environ, **team.environ, **names}, team.root)
        codes[number] = done.returncode
        judges_models = command.endswith("ml-assets ci")  # of a small shop: any verdict
        assert done.returncode in ((0, 1) if judges_models else (0, 4)), (command, done.stdout, done.stderr)
    unsaid = [number for number, command in enumerate(typed) if command.endswith("ci --without-models")][1]
    assert [number for number, code in codes.items() if code == 4] == [unsaid], "only the lower gate without a reason"
