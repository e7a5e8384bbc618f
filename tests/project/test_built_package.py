"""The built package: it holds all that it needs under one name, and runs from an empty folder beside a team's own packages."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from ml_assets.serving.client.server_process import ServerProcess
from resources.settings import ROOT
from tests.support.drafted_tables import tables
from tests.support.shared import made_once

SOURCES = ("ml_assets", "resources", "checks", "sensors", "dbt_project", "pyproject.toml", "setup.py", "README.md", "LICENSE")
BESIDE = r"resources|checks|sensors"
BUILD = "from setuptools import build_meta; print(build_meta.build_wheel('dist'))"
HOST = """\
from pathlib import Path

import dagster as dg

from ml_assets.definitions import project_defs
from resources import WAREHOUSE
from sensors import ours


@dg.asset
def table():
    return WAREHOUSE


@dg.job
def nightly():
    pass


own = dg.Definitions(assets=[table], jobs=[nightly], sensors=[ours], resources={"warehouse": WAREHOUSE})
defs = dg.Definitions.merge(own, project_defs(Path(__file__).parent))
"""
ASKED = """\
import sys

import host
import ml_assets.resources
import resources

repository = host.defs.get_repository_def()
print(*sorted(key.to_user_string() for key in repository.assets_defs_by_key))
print(*sorted(sensor.name for sensor in repository.sensor_defs))
print(resources.WAREHOUSE, resources.__file__)
print(ml_assets.__file__)
"""


@dataclass(frozen=True)
class Installed:
    """A folder that holds nothing but the built package, as an environment's packages would."""

    site: Path

    @property
    def python(self) -> str:
        """A Python of its own: the tests' has imported the checkout already."""
        return str(Path(sys.prefix) / "bin" / "python")

    @property
    def environ(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ML_ASSETS_", "DAGSTER_", "PYTHON"))}
        return {**kept, "PYTHONPATH": str(self.site)}

    def run(self, folder: Path, *arguments: str) -> str:
        """What a command prints that is run in a folder; `-c` runs Python instead."""
        module = [] if arguments[0] == "-c" else ["-P", "-m", "ml_assets"]
        command = [self.python, *module, *arguments]
        done = subprocess.run(command, cwd=folder, env=self.environ, capture_output=True, text=True, timeout=800, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def content(self) -> dict[str, int]:
        """When each file was written; what Python compiles is its own."""
        files = (path for path in self.site.rglob("*") if path.is_file() and path.parent.name != "__pycache__")
        return {str(path): path.stat().st_mtime_ns for path in files}


def build(folder: Path) -> None:
    """Build the sources as they are, and unpack what was built into `folder/site`, where nobody may write."""
    source = folder / "source"
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / name, source / name)
    command = [str(Path(sys.prefix) / "bin" / "python"), "-W", "ignore", "-c", BUILD]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(next((source / "dist").glob("*.whl"))) as wheel:
        wheel.extractall(folder / "site")
    shutil.rmtree(source)
    for path in (folder / "site").rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(made_once(tmp_path_factory.getbasetemp(), "built-package", build) / "site")


@pytest.fixture
def team(installed: Installed, tmp_path: Path) -> Path:
    """A project folder with a drafted product, made by the built package in an empty folder."""
    (table,) = [table for table in tables(11) if table.name == "loads"]
    source = table.file(tmp_path / "source")
    output = installed.run(tmp_path, "init", "team")
    assert "wrote team/ml-assets.env" in output
    drafted = installed.run(tmp_path / "team", "new", "loads", str(source), "--label", table.label)
    assert f"wrote {tmp_path / 'team' / 'products' / 'loads'}" in drafted
    return tmp_path / "team"


def test_one_package_holds_all_that_is_needed(installed: Installed) -> None:
    names = sorted(path.name for path in installed.site.iterdir())
    assert [name for name in names if not name.endswith(".dist-info")] == ["ml_assets"]
    package = installed.site / "ml_assets"
    for folder in ("resources", "checks", "sensors", "dbt_project", "ml_assets"):
        source = ROOT / folder
        own = [path.relative_to(source) for path in source.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        kept = package if folder == "ml_assets" else package / folder
        assert not [path for path in own if not (kept / path).is_file()]


def test_no_built_module_names_a_package_beside_its_own(installed: Installed) -> None:
    imports = re.compile(rf"^\s*(?:from|import) (?:{BESIDE})\b|[\"'](?:{BESIDE})\.\w", re.MULTILINE)
    modules = list(installed.site.rglob("*.py"))
    assert not [path for path in modules if imports.search(path.read_text(encoding="utf-8"))]
    for path in modules:
        compile(path.read_bytes(), str(path), "exec", dont_inherit=True)


def test_a_host_with_resources_and_sensors_of_its_own_takes_the_products_in_with_one_call(
    installed: Installed, team: Path
) -> None:
    before = installed.content()
    (team / "resources.py").write_text('WAREHOUSE = "ours"\n')
    (team / "sensors.py").write_text(
        'import dagster as dg\n\n\n@dg.sensor(job_name="nightly")\ndef ours(context):\n    return None\n'
    )
    (team / "host.py").write_text(HOST)
    assets, sensors, own, package = installed.run(team, "-c", ASKED).splitlines()
    assert {"table", "loads/raw", "loads/endpoint/production"} <= set(assets.split())
    assert {"ours", "loads_new_data"} <= set(sensors.split())
    assert own == f"ours {team / 'resources.py'}"
    assert package == str(installed.site / "ml_assets" / "__init__.py")
    assert "loads" in installed.run(team / "products", "plan", "loads"), "the project's file holds below its folder too"
    assert installed.content() == before, "nothing is written among an environment's packages"


def test_a_second_init_writes_what_is_missing_and_over_nothing(installed: Installed, tmp_path: Path) -> None:
    installed.run(tmp_path, "init", "team")
    (tmp_path / "team" / "workspace.yaml").unlink()
    assert installed.run(tmp_path, "init", "team").splitlines()[0] == "wrote team/workspace.yaml"
    (tmp_path / "team" / "README.md").write_text("ours")
    command = [installed.python, "-P", "-m", "ml_assets", "init", "team"]
    refused = subprocess.run(command, cwd=tmp_path, env=installed.environ, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "README.md is there with another text, and nothing is written over" in refused.stderr
    assert (tmp_path / "team" / "README.md").read_text() == "ours"


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_drafted_product_goes_down_the_path_and_serves(installed: Installed, team: Path) -> None:
    shown = installed.run(team, "demo", "loads", "--partitions", "7")
    assert "ACCEPT" in shown
    with ServerProcess([installed.python, "-P", "-m", "ml_assets", "serve", "loads"], environ=_served(installed, team)) as server:
        request = team / ".ml_assets" / "history" / "loads" / "request.json"
        command = ["curl", "-sS", f"{server.base_url}/predict", "-d", f"@{request}"]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert '"value":' in answer


def _served(installed: Installed, team: Path) -> dict[str, str]:
    own = {"ML_ASSETS_HOME": str(team / ".ml_assets"), "ML_ASSETS_PRODUCTS": str(team / "products")}
    return {"PYTHONPATH": str(installed.site), **own}
