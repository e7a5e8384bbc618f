"""What the tests share: a workspace in a new folder, and a small product."""

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings

from ml_assets.cli.shared.workspace import Workspace
from ml_assets.spec.product import Product
from resources.settings import Settings, settings
from tests.support import trains
from tests.support.less_waiting import keep_what_libraries_compute, wait_for_no_disk
from tests.support.quick_python import quick_python
from tests.support.shared import made_once, of_session, share_parsed_projects

LONGEST_FIRST = (
    "test_path",  # makes the months that test_check goes on from, which would wait for them
    "test_tutorial",
    "test_prepared_changes",
    "test_check",
    "test_generations",
    "test_approval",
    "test_rederived",
    "test_latency",
    "test_code_digest",
    "test_override",
    "test_labels_apart",
    "test_probation",
    "test_refusals",
    "test_comparison",
    "test_sensor",
    "test_readme",
    "test_ci_command",
    "test_lineage_365",
    "test_log_kills",
    "test_operator_rollback",
    "test_workers",
    "test_push_and_pull",
    "test_experiment",
    "test_hostile_walk",
    "test_dbt",
    "test_plan",
    "test_server",
    "test_mutate_and_backtest",
    "test_own_features",
    "test_reproduce",
    "test_recall",
    "test_stage_code",
    "test_ci_init",
    "test_leaves",
    "test_browser",
    "test_predictions",
    "test_canary",
    "test_environment",
    "test_canary_path",
    "test_deliveries",
    "test_shadowing",
)
"""Files that take long, so that the workers end together; two files that need the same home made do not begin together."""

GC_THRESHOLDS = (20_000, 20, 50)
"""With all that the tests import alive, Python's own, made for small programs, cost a tenth of the time."""

hypothesis_settings.register_profile("tests", deadline=None)
hypothesis_settings.load_profile("tests")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first; xdist keeps this order with --no-loadscope-reorder."""
    places = {name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


def pytest_collection_finish() -> None:
    """What is there by now stays: the collector of cycles need not look at it again."""
    gc.set_threshold(*GC_THRESHOLDS)
    gc.freeze()


def pytest_unconfigure() -> None:
    """Else DuckDB calls what is left at the end a leak, over some fifty lines."""
    gc.unfreeze()


@pytest.fixture(scope="module", autouse=True)
def few_objects_to_collect() -> None:
    """What earlier files imported and left stays too: an endpoint collects all there is at each swap, a second for a million."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def parsed_projects(tmp_path_factory: pytest.TempPathFactory) -> None:
    """dbt parses each project once in a session: the homes of all workers share what it parsed."""
    share_parsed_projects(of_session(tmp_path_factory.getbasetemp()) / "parsed-projects")


@pytest.fixture(scope="session", autouse=True)
def commands_start_at_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Most of a quick command is imports: what is started as this Python is forked from a process that has them."""
    session = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
    folder = made_once(tmp_path_factory.getbasetemp(), "python", lambda folder_made: quick_python(folder_made, session=session))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", str(folder / "python"))
        yield


@pytest.fixture(scope="session", autouse=True)
def little_is_waited_for() -> None:
    """See tests/support/less_waiting."""
    wait_for_no_disk()
    keep_what_libraries_compute()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty home."""
    return tmp_path


@pytest.fixture
def workspace(home: Path) -> Iterator[Workspace]:
    """A workspace of which nothing was used yet."""
    space = Workspace(settings_of(home))
    yield space
    if "ledger" in vars(space):
        space.ledger.close()


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Product:
    """The trains, by month from 2013-01: trips, and stops as reference."""
    return trains.product_in(tmp_path_factory.mktemp("products"))


def settings_of(home: Path) -> Settings:
    return settings({"ML_ASSETS_HOME": str(home)})
