"""Runs of the path that are killed with SIGKILL at random moments: what was recorded stays whole, and the next run completes."""

import os
import random
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ml_assets.cli.shared.workspace import Workspace
from ml_assets.services.verify.home import verify
from ml_assets.services.verify.ledger_file import copy_database
from ml_assets.spec.product import load
from resources.endpoints import pointer as pointers
from resources.endpoints.moves import as_pointer
from resources.settings import Settings, settings
from resources.store.temp_files import UNFINISHED, clear_home, writing_into
from tests.conftest import settings_of
from tests.support.homes.path_homes import Home, home
from tests.support.homes.weather_days import TEMPERATURE, days
from tests.support.killed_runs import Ended, Runner, runner
from tests.support.plans import planned
from tests.support.records import broken
from tests.support.shared import parse_alone
from tests.support.verified_home import contents

pytestmark = pytest.mark.timeout(900)
SMALL = (
    (r"window: \{.*\}", "window: {train: 2, test: 1, minimum: 1}"),
    (r"iterations: 30", "iterations: 5"),
    (r"unit: day", "unit: row"),
    (r"units: 5", "units: 2"),
    (r"rmse\(champion\) < 0\.5", "rmse(champion) < 1000"),
    (r"rmse\(candidate\) < 25", "rmse(candidate) < 1000"),
)
"""A candidate on the second day, a champion on the third; so few rows judge nothing, and every candidate is good enough."""
FIRST, SECOND, THIRD = tuple(days())[:3]
ENVIRONMENTS = ("staging", "production")
OF_ITS_RUN = {"report.html", "tracking.json"}
"""Members that tell of the run that made them: Evidently's page has random ids, tracking names its MLflow run."""
UNNAMED = "is whole, and nothing in the ledger names it: a run that was killed may have left it"
OVERTIME = 1.05
"""Up to where moments go, of the seconds of a whole run: the last of them come after its end, now and then."""


@dataclass(frozen=True)
class State:
    """What a run ends in: by stage and partition the recipe, what it made and the evidence; and who answers."""

    current: dict[tuple[str, str], tuple[Any, ...]]
    answering: dict[str, str | None]


@dataclass
class Killing:
    """A home in the state before a run; the run's length and the state that it ends in when nobody disturbs it."""

    at: Home
    runner: Runner
    before: Path
    partition: str
    seconds: float = 0.0
    writes: int = 0
    due: State | None = None

    def restore(self) -> None:
        """Begin again, in the same place: paths stand in MLflow's and Dagster's databases."""
        shutil.rmtree(self.at.folder, ignore_errors=True)
        shutil.copytree(self.before, self.at.folder)

    def run(self, *, seconds: float | None = None, writes: int | None = None) -> Ended:
        return self.runner.run("run", self.at.name, "--partition", self.partition, seconds=seconds, writes=writes)

    def killed(self, *, seconds: float | None = None, writes: int | None = None) -> bool:
        """Kill a run, and look at what it leaves; whether it was killed before its end."""
        ended = self.run(seconds=seconds, writes=writes)
        assert ended.was_killed or ended.code == 0, ended.output
        assert_recorded_is_whole(self.at)
        return ended.was_killed

    def complete(self) -> None:
        """The next run ends as one does that nobody disturbed."""
        ended = self.run()
        assert ended.code == 0, ended.output
        assert_nothing_is_left_over(self.at)
        assert state(self.at) == self.due


@pytest.fixture(scope="module")
def killing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killing]:
    """Two days went down the path: the run of the third meets a champion."""
    yield from prepared(tmp_path_factory.mktemp("kill"), FIRST, SECOND, THIRD)


@pytest.fixture(scope="module")
def first_killing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killing]:
    """A home where nothing ever ran: databases, caches and folders are made by the run that is killed."""
    yield from prepared(tmp_path_factory.mktemp("first"), FIRST)


def prepared(folder: Path, *partitions: str) -> Iterator[Killing]:
    at = home(folder / "home", load(TEMPERATURE))
    parse_alone(at.folder)
    at.edit("product.yaml", *SMALL)
    (folder / "tmp").mkdir()
    with runner({**os.environ, **at.space.settings.environ(), "TMPDIR": str(folder / "tmp")}, store=at.folder / "store") as warm:
        for partition in partitions[:-1]:
            at.deliver(partition, {"weather": days()[partition]})
            assert warm.run("run", at.name, "--partition", partition).code == 0
        at.deliver(partitions[-1], {"weather": days()[partitions[-1]]})
        killing = Killing(at, warm, folder / "before", partitions[-1])
        shutil.copytree(at.folder, killing.before)
        undisturbed = killing.run()
        assert undisturbed.code == 0, undisturbed.output
        assert_recorded_is_whole(at)
        killing.seconds, killing.writes, killing.due = undisturbed.seconds, undisturbed.writes, state(at)
        yield killing


def assert_recorded_is_whole(at: Home) -> None:
    """Whatever was committed stands, down to the byte; and looking at it changes nothing."""
    before = contents(at.folder)
    verified = verify(at.space.settings)
    assert contents(at.folder) == before
    failures = {finding.where for finding in verified.discrepancies if not finding.is_note}
    space = looking(at.space.settings)
    try:
        assert broken(space.ledger) == []
        for entry in space.ledger.entries():
            if entry.kind == "manifest":
                assert space.snapshots.is_intact(entry.body["manifest"]["snapshot"]), entry.body["manifest"]["recipe"]
        assert failures <= {lagging for name in ENVIRONMENTS if (lagging := lagging_pointer(space, at.name, name))}
    finally:
        space.ledger.close()


def looking(at: Settings) -> Workspace:
    """The workspace above a copy of the ledger: to open one that a crash left is to write to it."""
    folder = at.home.parent / "looking"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    if Path(at.ledger.removeprefix("sqlite:///")).exists():
        copy_database(Path(at.ledger.removeprefix("sqlite:///")), folder)
    return Workspace(settings({**at.environ(), "ML_ASSETS_LEDGER": f"sqlite:///{folder / 'ledger.db'}"}))


def lagging_pointer(space: Workspace, product: str, environment: str) -> str | None:
    """Who answers was promoted by the ledger, published and is whole. The file may lag one move behind, until the next run
    or server settles it: it is named."""
    file = space.settings.pointer(product, environment)
    pointer, moves = pointers.read(file), space.ledger.moves(product, environment)
    expected = [None, *(as_pointer(entry) for entry in moves)]
    assert pointer in expected[-2:]
    if pointer is not None:
        released = [m for m in space.ledger.by_prefix(pointer.bundle) if m.recipe.stage == "release"]
        assert [m.facts["release"] for m in released] == [pointer.release]
        assert space.ledger.current(product, "release", pointer.as_of) == released[0]
        assert space.snapshots.is_intact(pointer.bundle)
    return None if pointer == expected[-1] else f"pointer {file.relative_to(space.settings.home)}"


def assert_nothing_is_left_over(at: Home) -> None:
    assert unfinished(at) == []
    assert {finding.message for finding in verify(at.space.settings).discrepancies} <= {UNNAMED}
    space = looking(at.space.settings)
    try:
        assert planned(space, at.product) == []
        releases = [e.body["manifest"]["facts"]["release"] for e in space.ledger.entries() if _is_release(e.body)]
        client = space.tracking.client()
        versions = client.search_model_versions(f"name = '{at.name}'") if releases else []
        assert sorted(v.tags["release"] for v in versions) == sorted(releases)
    finally:
        space.ledger.close()


def unfinished(at: Home) -> list[Path]:
    return [path for path in at.folder.rglob("*") if path.name.startswith(UNFINISHED)]


def _is_release(body: Any) -> bool:
    return "manifest" in body and "facts" in body["manifest"] and "release" in body["manifest"]["facts"]


def state(at: Home) -> State:
    space = looking(at.space.settings)
    try:
        assets = sorted({(e.body["stage"], e.body["partition"]) for e in space.ledger.entries() if e.kind == "publication"})
        current = {asset: _made(space, at.name, *asset) for asset in assets}
        pointers_now = {name: pointers.read(space.settings.pointer(at.name, name)) for name in ENVIRONMENTS}
        answering = {name: pointer.release if pointer else None for name, pointer in pointers_now.items()}
        return State(current, answering)
    finally:
        space.ledger.close()


def _made(space: Workspace, product: str, stage: str, partition: str) -> tuple[Any, ...]:
    killing = space.ledger.current(product, stage, partition)
    assert killing is not None
    evidence = {claim: entry.body.passed for claim, entry in space.ledger.evidence(killing.id).items()}
    members = space.snapshots.open(killing.snapshot).members
    same = {name: digest for name, digest in members.items() if name not in OF_ITS_RUN}
    return killing.recipe.key, killing.data_version if same == members else None, same, evidence


def moments(seed: int, *, seconds: float, kills: int, in_a_row: int) -> list[list[float]]:
    """Random moments of a whole run, uniform; one in each equal part of it, in random order, several runs in a row."""
    draw = random.Random(seed)
    moments = [seconds * OVERTIME * (part + draw.random()) / kills for part in range(kills)]
    draw.shuffle(moments)
    return [moments[at : at + in_a_row] for at in range(0, kills, in_a_row)]


def new_seed() -> int:
    return int(os.environ.get("SIGKILL_SEED") or random.SystemRandom().randrange(1_000_000))


def kill(killing: Killing, *, kills: int, in_a_row: int = 2) -> int:
    """Kill runs and complete them, at moments from a new seed; how many were killed before their end. After one that ended
    sooner than its moment there would be nothing left to kill, so the next of its row starts from the beginning."""
    seed = new_seed()
    print(f"SIGKILL_SEED={seed} gives these moments of {killing.seconds:.1f} s")  # noqa: T201
    killed = 0
    for row in moments(seed, seconds=killing.seconds, kills=kills, in_a_row=in_a_row):
        print(f"killed after {', '.join(f'{moment:.3f}' for moment in row)} s")  # noqa: T201
        was_killed = False
        for moment in row:
            if not was_killed:
                killing.restore()
            was_killed = killing.killed(seconds=moment)
            killed += was_killed
        killing.complete()
    return killed


def killed_while_it_writes(killing: Killing) -> None:
    """Kill a run at two random writes, one after the other, and complete it."""
    seed = new_seed()
    first, second = random.Random(seed).sample(range(1, killing.writes), 2)
    print(f"SIGKILL_SEED={seed} kills at write {first}, then at {second}, of {killing.writes}")  # noqa: T201
    killing.restore()
    assert killing.killed(writes=first)
    killing.killed(writes=second)
    killing.complete()


@pytest.mark.long
def test_the_first_run_of_a_home_killed_while_it_writes_leaves_what_is_recorded_whole_and_the_next_run_completes(
    first_killing: Killing,
) -> None:
    killed_while_it_writes(first_killing)


@pytest.mark.long
def test_a_run_that_promotes_killed_while_it_writes_leaves_what_is_recorded_whole_and_the_next_run_completes(
    killing: Killing,
) -> None:
    killed_while_it_writes(killing)


def test_what_is_unfinished_is_removed_unless_somebody_writes_there_or_it_is_not_ours(tmp_path: Path) -> None:
    names = (
        "store/ab/.writing-1",
        ".writing-2",
        "endpoints/trains/.writing-3",
        "cache/dbt/.writing-4/target",
        "landing/.writing-5",
    )
    paths = [tmp_path / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    with writing_into(tmp_path / "store" / "ab"), writing_into(tmp_path / "cache" / "dbt"):
        clear_home(settings_of(tmp_path))
    assert [path.exists() for path in paths] == [True, False, False, True, True]
    clear_home(settings_of(tmp_path))
    assert [path.exists() for path in paths] == [False, False, False, False, True]


def test_writers_and_those_who_clear_do_not_disturb_each_other(workspace: Workspace) -> None:
    contents = [bytes([number]) * 10_000 for number in range(150)]
    with ThreadPoolExecutor(4) as pool:
        cleared = [pool.submit(clear_home, workspace.settings) for _ in range(30)]
        written = list(pool.map(workspace.snapshots.blobs.put, contents))
        assert [future.result() for future in cleared] == [None] * 30
    assert set(workspace.snapshots.blobs.digests()) == set(written)
    assert all(workspace.snapshots.blobs.path(digest) for digest in written)


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_a_run_killed_at_two_hundred_random_moments(killing: Killing) -> None:
    kills = int(os.environ.get("SIGKILL_COUNT") or 200)
    assert kill(killing, kills=kills) >= kills * 0.7


@pytest.mark.long
@pytest.mark.timeout(2400)
def test_the_first_run_of_a_home_killed_at_random_moments(first_killing: Killing) -> None:
    kills = int(os.environ.get("SIGKILL_COUNT") or 30)
    assert kill(first_killing, kills=kills) >= kills * 0.5
