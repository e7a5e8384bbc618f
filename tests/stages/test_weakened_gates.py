"""Gates that are weakened after a test window was asked wait for a person, whatever the verdict says then."""

from collections.abc import Iterator

import pytest

from ml_assets.services.governed_gates import weakened_after_a_look
from ml_assets.services.release_status import release_status
from tests.support.homes.path_homes import Home
from tests.support.homes.shop import DAYS, deliver, shop

FIRST, SECOND = DAYS[:2]
DATA = ("raw", "dataset", "quarantine", "features")
DECIDED = (*DATA, "model", "evaluation", "release")
FLOOR = r"roc_auc\(candidate\) > [\d.]+"


@pytest.fixture(scope="module")
def rejected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """The second day, asked once: nothing is good enough."""
    own_home = shop(tmp_path_factory.mktemp("weakened"))
    own_home.edit("product.yaml", (FLOOR, "roc_auc(candidate) > 0.9999"))
    deliver(own_home, FIRST, SECOND)
    assert own_home.run(FIRST, only=DATA).success
    assert own_home.run(SECOND, only=DECIDED).success
    assert own_home.current("release", SECOND) is None
    yield own_home
    own_home.close()


def asked_again(own_home: Home, floor: str) -> str:
    """Another floor, another look, and what is said about the gates since."""
    own_home.edit("product.yaml", (FLOOR, f"roc_auc(candidate) > {floor}"))
    run = own_home.run(SECOND, only=DECIDED)
    assert run.success, run.errors
    return weakened_after_a_look(own_home.space.lineage, own_home.product, own_home.get("evaluation", SECOND))


@pytest.mark.long
def test_a_lower_floor_waits_for_a_person_and_a_higher_one_does_not(rejected: Home) -> None:
    assert asked_again(rejected, "0.99999") == ""
    message = asked_again(rejected, "0.05")
    assert "look 1 at this window was " in message
    assert "floor: prove roc_auc(candidate) > 0.9999 → prove roc_auc(candidate) > 0.05" in message
    status = release_status(rejected.space.lineage, rejected.product, rejected.get("release", SECOND))
    assert status.approvals.state == "waits"
    assert "since then the gates were weakened: floor" in status.approvals.message
