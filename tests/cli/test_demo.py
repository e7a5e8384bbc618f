"""`ml-assets demo`: what it prints, that a second time computes nothing, and that the release that serves is the one it names."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.ci_runner import ci_run
from tests.support.homes.path_homes import copy_home

OF_CI = ".venv/bin/ml-assets demo --months 4"


def demo(home: Path) -> str:
    environ = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("ML_ASSETS_", "DAGSTER_"))},
        "ML_ASSETS_HOME": str(home),
    }
    command = [sys.executable, "-m", "ml_assets", "demo", "--months", "1"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.long
@pytest.mark.timeout(900)
def test_what_is_made_is_told_and_a_second_time_computes_nothing(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    ran = ci_run(tmp_path_factory)
    first = ran.said[OF_CI]
    assert re.search(r"^2013-01 +29,076 +0 .*no candidate +no one$", first, re.MULTILINE)
    assert "5 made, 0 reused" in first
    (answers,) = re.findall(r"^2013-04 .* ACCEPT +(\S+)$", first, re.MULTILINE)
    for command in ("make dev", f"ml-assets lineage {answers}", "ml-assets status flights", "ml-assets rollback flights"):
        assert command in first
    assert "35 assets were made." in first
    copy_home(ran.home, tmp_path / "home")
    second = demo(tmp_path / "home")
    assert "Nothing was computed: everything was up to date" in second
    assert " made, " not in second, "no run was launched"
