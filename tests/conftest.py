"""What the tests share: a workspace in a new folder, and a small product."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings

from ml_assets.product import Product
from resources.settings import Settings, settings
from resources.workspace import Workspace
from tests import trains

hypothesis_settings.register_profile("tests", deadline=None)
hypothesis_settings.load_profile("tests")


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
    return trains.made(tmp_path_factory.mktemp("products"))


def settings_of(home: Path) -> Settings:
    return settings({"ML_ASSETS_HOME": str(home)})
