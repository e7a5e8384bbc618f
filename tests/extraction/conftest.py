"""What the tests of sources share."""

from collections.abc import Iterator

import pytest

from tests.support.homes.path_homes import Home


@pytest.fixture
def homes() -> Iterator[list[Home]]:
    """Homes that a test adds; they are closed after it."""
    opened: list[Home] = []
    yield opened
    for home in opened:
        home.close()
