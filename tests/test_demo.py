"""`ml-assets demo`: what it tells, that a second time computes nothing, and that what answers is what it says."""

import os
import re
import subprocess
import sys
from pathlib import Path


def demo(home: Path) -> str:
    environ = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("ML_ASSETS_", "DAGSTER_"))},
        "ML_ASSETS_HOME": str(home),
    }
    command = [sys.executable, "-m", "ml_assets", "demo", "--months", "1"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_one_month_is_told_and_a_second_time_computes_nothing(tmp_path: Path) -> None:
    first = demo(tmp_path)
    assert re.search(r"^2013-01 +29,076 +0 .*no candidate +nobody$", first, re.MULTILINE)
    assert "5 assets were made." in first
    for command in ("make dev", "ml-assets lineage", "ml-assets status flights", "ml-assets rollback flights"):
        assert command in first
    second = demo(tmp_path)
    assert "Nothing was computed: everything was there already" in second
    assert "0 made, 5 reused" in second
