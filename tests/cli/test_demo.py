"""`ml-assets demo`: what it prints, that a second time computes nothing, that the release that serves is the one it names, and
that the next month can be delivered for the sensor."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from ml_assets.cli import cli
from ml_assets.services.demo_flights import Year
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
    first = ran.outputs[OF_CI]
    assert re.search(r"^2013-01 +29,076 +0 .*no candidate +no one$", first, re.MULTILINE)
    assert "5 made, 0 reused" in first
    (answers,) = re.findall(r"^2013-04 .* ACCEPT +(\S+)$", first, re.MULTILINE)
    for command in ("make dev", f"ml-assets lineage {answers}", "ml-assets status flights", "ml-assets rollback flights"):
        assert command in first
    assert "35 assets were made." in first
    assert re.search(r"^ +withheld: INCONCLUSIVE; not_worse: .*not proven", first, re.MULTILINE)
    copy_home(ran.home, tmp_path / "home")
    second = demo(tmp_path / "home")
    assert "Nothing was computed: everything was up to date" in second
    assert " made, " not in second, "no run was launched"


def test_the_next_month_is_delivered_and_no_run_launched_until_the_year_is_over(tmp_path: Path) -> None:
    landing = tmp_path / "landing" / "flights"

    def next_month() -> tuple[int, str]:
        done = CliRunner().invoke(cli, ["demo", "--next"], env={"ML_ASSETS_HOME": str(tmp_path), "DAGSTER_HOME": ""})
        return done.exit_code, done.output + str(done.exception or "")

    code, output = next_month()
    assert (code, "ml-assets run flights --partition 2013-01" in output) == (0, True), output
    assert (landing / "flights" / "2013-01.csv").read_bytes() == Year.open().month("2013-01")["flights"]
    assert not (tmp_path / "dagster" / "history").exists()
    for month in Year.open().months[1:]:
        for table in ("flights", "weather"):
            (landing / table / f"{month}.csv").write_text("delivered before")
    code, output = next_month()
    assert (code, "every partition of its history is delivered" in output) == (1, True), output
    assert (landing / "flights" / "2013-12.csv").read_text() == "delivered before"
