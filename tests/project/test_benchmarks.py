"""The benchmarks run, and say what they measured. No test here looks at how long anything took."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.child import ChildFailed, run
from benchmarks.steps import Mark
from benchmarks.tables import spread, table

ROOT = Path(__file__).resolve().parents[2]


def benchmarks(*arguments: str, timeout: float = 280) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.long
def test_the_path_is_measured_against_a_plain_script() -> None:
    output = benchmarks("path", "--months", "1", "--runs", "1")
    named = ("path / plain script, medians, ", "on neither: CPU", "features", "check dbt_tests", "part of the plain script")
    for part in (*named, "tool alone", "cores"):
        assert part in output
    assert output.strip().endswith("repeat: python -m benchmarks path --months 1 --runs 1")


@pytest.mark.long
def test_the_path_and_the_plain_script_find_the_same_models() -> None:
    """The command refuses to compare two sides that differ in a digit."""
    output = json.loads(benchmarks("path", "--months", "3", "--runs", "1", "--json"))
    assert output["path"]["ratio"]["cpu"] > 0


@pytest.mark.long
@pytest.mark.timeout(900)
def test_requests_to_the_store_are_counted_by_command_and_the_same_run_again_asks_nothing() -> None:
    """The command refuses the measurement if that run asks the store for anything."""
    asked = json.loads(benchmarks("requests", "--json", timeout=880))["requests"]["asked"]
    assert asked["the same again"] == {}
    runs = {name: counts for name, counts in asked.items() if name.startswith("run of ")}
    assert len(runs) == 3
    assert all(counts["PUT"] > 10 for counts in runs.values())
    assert sum(counts.get("HEAD", 0) for counts in runs.values()) <= 1, "but of one, by which a home knows its ledger's store"


def test_help_names_every_benchmark() -> None:
    output = benchmarks("--help")
    assert all(name in output for name in ("path", "memo", "serving", "--months", "--runs", "--json"))


def test_a_command_that_fails_is_no_measurement() -> None:
    with pytest.raises(ChildFailed, match="exit code 2"):
        run("benchmarks.references.plain_script", ["--unknown"])


def test_the_time_of_children_counts() -> None:
    started = Mark.now()
    subprocess.run([sys.executable, "-c", "sum(range(3_000_000))"], check=True)
    took = Mark.now().since(started)
    assert took["cpu"] > 0
    assert took["wall"] >= 0


def test_a_table_has_the_name_to_the_left_and_numbers_to_the_right() -> None:
    assert table(["name", "s"], [["path", 12.5], ["a", None]]).splitlines() == [
        "name      s",
        "----  -----",
        "path  12.50",
        "a          ",
    ]
    assert spread([3.0, 1.0, 2.0]) == "2.00 (1.00 to 3.00)"
    assert spread([1.0]) == "1.00"
