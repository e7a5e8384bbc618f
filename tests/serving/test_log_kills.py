"""The prediction log under SIGKILL: at every point where it meets the disk, and at random moments while it writes much."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ml_assets.serving.log.writer import FLUSH_SECONDS
from tests.support.log_faults import ACTS, MUTANTS, kills_survived, prove

WRITING_SECONDS = 1.0
"""For the file that is being written, on a machine that does other things too."""
BUSY = """
import sys, time
from pathlib import Path
from ml_assets.serving.log.writer import PredictionLog
from tests.support.log_faults import predictions_of
kept = PredictionLog(Path(sys.argv[1]), flush_seconds=float(sys.argv[2]))
for number in range(0, 1_000_000, 50):
    kept.add(predictions_of(number, 50))
    print(number + 50, kept.written, time.monotonic(), flush=True)
    time.sleep(0.005)
"""


@pytest.mark.long
@pytest.mark.parametrize("act", ACTS)
def test_a_kill_at_any_point_or_within_any_file_leaves_whole_files_and_all_that_was_written(act: str, tmp_path: Path) -> None:
    done = kills_survived(act, tmp_path)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 25


SHORTEST = "renamed_first"
"""The mutant that the default suite takes; `make long` takes all of them."""


@pytest.mark.parametrize(
    "mutant", [SHORTEST, *(pytest.param(mutant, marks=pytest.mark.long) for mutant in MUTANTS if mutant != SHORTEST)]
)
def test_the_kills_find_a_log_that_is_broken_on_purpose(mutant: str, tmp_path: Path) -> None:
    act, *_, failure = MUTANTS[mutant]
    done = kills_survived(act, tmp_path, mutant=mutant)
    assert done.returncode == 1
    assert failure in done.stderr
    assert "AssertionError: after a kill at" in done.stderr


def kill(folder: Path, rng: random.Random) -> None:
    """Kill a log that is given much, at a random moment, and prove what it leaves."""
    pause, seconds = rng.choice([0.02, FLUSH_SECONDS]), rng.uniform(0.5, 4.5)
    print(f"flushes each {pause} s, killed after {seconds:.3f} s")  # noqa: T201
    command = [sys.executable, "-c", BUSY, str(folder), str(pause)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        output = [child.stdout.readline()]
        time.sleep(seconds)
        at = time.monotonic()
        child.kill()
        output += child.stdout.read().splitlines()
    lines = [words for line in output if len(words := line.split()) == 3][:-1]
    due = [int(added) for added, _, moment in lines if float(moment) < at - pause - WRITING_SECONDS]
    prove(folder, max([*due, *(int(written) for _, written, _ in lines)], default=0))


def random_kills(folder: Path, *, count: int) -> None:
    seed = int(os.environ.get("SEED", time.time_ns() % 10**9))
    print(f"SEED={seed}")  # noqa: T201 - repeats a failure
    for number in range(count):
        kill(folder / str(number), random.Random(f"{seed} {number}"))


@pytest.mark.long
def test_a_busy_log_that_is_killed_has_lost_the_last_second_at_most(tmp_path: Path) -> None:
    random_kills(tmp_path, count=1)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_busy_log_that_is_killed_a_hundred_times_has_lost_the_last_second_at_most(tmp_path: Path) -> None:
    random_kills(tmp_path, count=100)
