"""The file of a project folder: whose settings a command takes, and which it refuses."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from resources.project_file import FILE, ProjectFileRefused, project_environ, project_folder, with_project

TEXT = "# ours\n\nML_ASSETS_HOME = .ml_assets\nML_ASSETS_PRODUCTS=products:/shared/products\nML_ASSETS_COMPILED=false\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / FILE).write_text(TEXT)
    (tmp_path / "products" / "temps").mkdir(parents=True)
    return tmp_path


def test_paths_begin_in_the_folder_of_the_file_wherever_a_command_is_run(project: Path) -> None:
    assert project_folder(project / "products" / "temps") == project
    assert with_project({}, project / "products" / "temps") == {
        "ML_ASSETS_HOME": str(project / ".ml_assets"),
        "ML_ASSETS_PRODUCTS": f"{project / 'products'}:/shared/products",
        "ML_ASSETS_COMPILED": "false",
    }


def test_a_variable_of_the_environment_comes_before_a_line_of_the_file(project: Path) -> None:
    assert with_project({"ML_ASSETS_HOME": "/other"}, project)["ML_ASSETS_HOME"] == "/other"


def test_without_such_a_file_the_environment_stays_as_it_is(tmp_path: Path) -> None:
    assert with_project({"A": "b"}, tmp_path) == with_project({"A": "b"}, None) == {"A": "b"}


@pytest.mark.parametrize("line", ["PATH=/tmp", "ML_ASSETS_HOME", "export ML_ASSETS_HOME=x"])
def test_a_line_that_is_no_setting_is_refused_with_its_number(line: str, project: Path) -> None:
    (project / FILE).write_text(f"{TEXT}{line}\n")
    with pytest.raises(ProjectFileRefused, match=rf"{FILE}:6: '{line}' is not a setting; write lines such as ML_ASSETS_HOME="):
        project_environ(project)


def test_a_file_that_somebody_else_put_there_is_refused(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.getuid() == 0:
        os.chown(project / FILE, 12345, -1)
    else:
        monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(ProjectFileRefused, match="belongs to another user, whose products would be run"):
        project_environ(project)


def test_a_command_in_a_folder_that_is_gone_still_runs(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    command = [str(Path(sys.prefix, "bin", "python")), "-m", "ml_assets", "schema"]
    script = f"cd {gone}; rmdir {gone}; exec {' '.join(command)}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr
