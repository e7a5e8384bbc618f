"""A first release of the real flights that waits for two people, made once per session; tests go on from copies."""

import json
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from ml_assets.cli import cli
from ml_assets.core.lineage.stages import LEAVES
from ml_assets.definitions import build_defs
from ml_assets.errors import MlAssetsError
from resources.dagster_resources import resources_of
from resources.ledger.ledger import Entry
from tests.support.homes.flights_days import flights
from tests.support.homes.flights_months import with_data
from tests.support.homes.path_homes import QUIET, Home, Run, blank_pages
from tests.support.shared import made_once

FIRST, SECOND = "2013-01", "2013-02"
ASKS_TWO = (r"\n  approve: automatic", "\n  approve: person\n  four_eyes: true")
ASKS_NOBODY = (r"\n  approve: person\n  four_eyes: true", "\n  approve: automatic")
NEVER = (r"prove: roc_auc\(candidate\) > 0\.55", "prove: roc_auc(candidate) > 0.95")
"""No candidate keeps it: a REJECT."""
UNSURE = (r"prove: roc_auc\(candidate\) > 0\.55", "prove: roc_auc(candidate) > 0.64")
"""Neither shown nor disproven on so few days: INCONCLUSIVE."""
SMALL = (
    (r"iterations: 100", "iterations: 5"),
    (r"learning_rate: 0\.1", "learning_rate: 0.5"),
    (r"depth: 8", "depth: 4"),
    (r"smoke_rows: 200", "smoke_rows: 20"),
    (r"roc_auc\(candidate\) > 0\.60", "roc_auc(candidate) > 0.55"),
    (r"looks: 2, ships: 1", "looks: 5, ships: 3"),
    ASKS_TWO,
)
"""Three promotions per window, so that one window can be asked again with other gates."""


OPS = {"approve": "record_approval", "override": "record_override", "rollback": "roll_back"}


@dataclass(frozen=True)
class People:
    """A home, and what people do in it."""

    home: Home
    run: Run | None = None

    def command(self, monkeypatch: pytest.MonkeyPatch, *args: str) -> Result:
        """One command of `ml-assets`, in this process; an expected failure is exit code 1 and its message."""
        for name, value in self.home.space.settings.environ().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("DAGSTER_HOME", "")
        done = CliRunner().invoke(cli, args)
        if done.exception is not None and not isinstance(done.exception, SystemExit | MlAssetsError):
            raise done.exception
        return done

    def job(self, name: str, config: Mapping[str, Any], *, tags: Mapping[str, str] | None = None, run: str | None = None) -> str:
        """Run a decision's job from the Launchpad's config, with the tags and the id of a run; what it raised, or nothing."""
        definitions = build_defs({self.home.name: self.home.product}, resources_of(self.home.space.settings))
        op = f"{self.home.name}__{OPS[name]}"
        with dg.DagsterInstance.ephemeral() as instance:
            job = definitions.resolve_job_def(f"{self.home.name}_{name}")
            ran = job.execute_in_process(
                instance=instance,
                raise_on_error=False,
                run_config=QUIET | {"ops": {op: {"config": dict(config)}}},
                tags=dict(tags or {}),
                run_id=run,
            )
        errors = [e.step_failure_data.error for e in ran.get_step_failure_events()]
        return "; ".join((error.cause or error).message for error in errors if error)

    def entries(self, kind: str) -> list[Entry]:
        return [entry for entry in self.home.space.ledger.entries() if entry.kind == kind]

    def refused(self) -> list[str]:
        """What was refused, each with all its reasons."""
        return ["; ".join(entry.body["reasons"]) for entry in self.entries("refusal")]

    @property
    def release(self) -> str:
        return str(self.home.get("release", SECOND).facts["release"])

    @property
    def bundle(self) -> str:
        return self.home.get("release", SECOND).snapshot


def json_of(done: Result) -> Any:
    """The JSON that a command printed."""
    return json.loads(done.output)


@cache
def _waiting(base: Path) -> People:
    def release(folder: Path) -> None:
        own_home, _ = with_data(base, folder / "home")
        own_home.edit("product.yaml", *SMALL)
        with blank_pages():
            run = own_home.run(SECOND, leaves=LEAVES)
        own_home.close()
        (folder / "run.pickle").write_bytes(pickle.dumps(run))

    return _own_copy(base, made_once(base, "waiting", release))


@cache
def _rejected(base: Path) -> People:
    """The same, where nothing is released: no candidate is good enough."""

    def reject(folder: Path) -> None:
        own_home = _waiting(base).home.copy(folder / "home")
        own_home.edit("product.yaml", NEVER)
        run = own_home.run(SECOND)
        own_home.close()
        (folder / "run.pickle").write_bytes(pickle.dumps(run))

    return _own_copy(base, made_once(base, "rejected", reject))


def _own_copy(base: Path, folder: Path) -> People:
    own = Home(folder / "home", flights().name).copy(base / folder.name)
    return People(own, pickle.loads((folder / "run.pickle").read_bytes()))


@pytest.fixture(scope="session")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> People:
    """To be looked at only."""
    return _waiting(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def rejected(tmp_path_factory: pytest.TempPathFactory) -> People:
    """To be looked at only."""
    return _rejected(tmp_path_factory.getbasetemp())


@pytest.fixture
def people(waiting: People, tmp_path: Path) -> People:
    """A home of the test's own with the release that waits."""
    return People(waiting.home.copy(tmp_path / "home"))


@pytest.fixture
def turned_down(rejected: People, tmp_path: Path) -> People:
    """A home of the test's own with the candidate that was rejected. Its release of other gates is still recorded."""
    return People(rejected.home.copy(tmp_path / "home"))


@pytest.fixture
def command(people: People, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    return lambda *args: people.command(monkeypatch, *args)
