"""Every command of README.md does what it says; every link and picture is there."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from resources.settings import ROOT
from tests.project.test_docs_site import GENERATED
from tests.support.browser import eventually, responds
from tests.support.command_line import Days
from tests.support.homes.small_home import DAYS, small_home
from tests.support.workflows import run_lines

README = ROOT / "README.md"
DOCUMENTS = sorted([README, *(ROOT / "docs").rglob("*.md")])
ELSEWHERE = {
    "make demo": "tests/cli/test_demo.py",
    "make test": "tests/project/test_readme.py",
    "make dev": "tests/cli/test_up.py",
    ".venv/bin/ml-assets demo --next": "tests/cli/test_demo.py",
    ".venv/bin/ml-assets check flights --partition 2013-04": "tests/cli/test_check.py",
}
"""Commands that another test proves; `make test` by the fact that this runs, the check as a command of ci.yml."""
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!`)\[[^\]]*\]\((?!https?://|#)([^)#\s]+)")
LARGEST_PICTURE = 300_000


def blocks(language: str) -> list[str]:
    return [text for language_, text in BLOCK.findall(README.read_text()) if language_ == language]


def commands() -> list[str]:
    """The commands of the README in its order; one that goes over several lines is one."""
    typed = [line.removeprefix("$ ") for text in blocks("console") for line in text.splitlines() if line.startswith("$ ")]
    written = [text.strip() if text.startswith("curl") else line for text in blocks("sh") for line in _lines(text)]
    return [*typed, *written]


def _lines(text: str) -> list[str]:
    return [text] if text.startswith("curl") else text.splitlines()


def runnable() -> list[str]:
    """All but rollback first: it changes who answers."""
    return sorted((c for c in commands() if c not in ELSEWHERE), key=lambda command: "rollback" in command)


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Days]:
    """A copy of the small home, with its endpoint serving: the README's commands change what stands."""
    home = small_home(tmp_path_factory, tmp_path_factory.mktemp("readme"))
    with serving(home, tmp_path_factory.mktemp("serving") / "serve.log"):
        yield home


@contextmanager
def serving(days: Days, log: Path) -> Iterator[None]:
    with log.open("wb") as file:
        argv = [sys.executable, "-m", "ml_assets", "serve", "flights"]
        process = subprocess.Popen(argv, env=days.environ, stdout=file, stderr=file)
    try:
        eventually(lambda: responds(f"http://127.0.0.1:{days.flights.endpoint.port}/readyz"), what=f"the endpoint ({log})")
        yield
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.parametrize("command", runnable(), ids=lambda command: " ".join(command.split()[:3]))
def test_a_command_of_the_readme_succeeds(command: str, days: Days, tmp_path: Path) -> None:
    here = command.replace(".venv/bin/ml-assets", f"{shlex.quote(sys.executable)} -m ml_assets")
    here = (
        re.sub(r"2013-0[34]", DAYS[-1], here)
        .replace(":8810/", f":{days.flights.endpoint.port}/")
        .replace("build/", f"{tmp_path}/")
    )
    here = here.replace("curl -s ", "curl -s --fail-with-body ")
    done = subprocess.run(["bash", "-c", here], env=days.environ, cwd=tmp_path, capture_output=True, text=True, check=False)
    allowed = (0, 2) if " plan " in command else (0,)
    assert done.returncode in allowed, done.stdout + done.stderr
    assert done.stdout.strip()
    if command.startswith("curl"):
        assert re.search(r'"probability":0\.\d+,"decision":(true|false)', done.stdout)


def test_commands_proven_elsewhere_are_in_the_readme_and_in_the_makefile_or_in_ci() -> None:
    targets = (ROOT / "Makefile").read_text()
    for command, proof in ELSEWHERE.items():
        assert command in commands()
        target = re.search(rf"^{command.removeprefix('make ')}:", targets, re.MULTILINE)
        is_tried = f'"{command.rpartition(" ")[2]}"' in (ROOT / proof).read_text()
        assert target or is_tried or command in [step["run"] for step in run_lines("ci")]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_and_pictures_are_there(document: Path) -> None:
    generated = {(ROOT / "docs" / page).resolve() for page in GENERATED}
    for link in LINK.findall(document.read_text()):
        target = (document.parent / link).resolve()
        assert target.exists() or target in generated, link
        if target.suffix == ".png":
            assert target.stat().st_size < LARGEST_PICTURE


def test_the_keys_of_a_product_are_all_described() -> None:
    documented = (ROOT / "docs" / "product.md").read_text()
    from ml_assets.spec.product import Product

    missing = [name for name in Product.model_fields if f"`{name}" not in documented]
    assert not missing
    documented += (ROOT / "docs" / "gates.md").read_text()
    for field in Product.model_fields.values():
        section = field.annotation
        names = getattr(section, "model_fields", {})
        assert not [
            name
            for name in names
            if f"{name}`" not in documented and f"{name}." not in documented and f"{name}[" not in documented
        ]


def test_the_settings_are_all_described() -> None:
    texts = [(ROOT / path).read_text() for path in ("docs/operations.md", "resources/settings.py")]
    documented, read = ({name.removesuffix("_FILE") for name in re.findall(r"ML_ASSETS_[A-Z_]+", text)} for text in texts)
    assert read == documented


def test_no_environment_of_this_run_is_in_the_documents() -> None:
    for document in DOCUMENTS:
        assert str(ROOT) not in document.read_text()
        assert f"{Path.home()}/" not in document.read_text()
