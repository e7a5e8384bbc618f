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
    made = shop(tmp_path_factory.mktemp("weakened"))
    made.edit("product.yaml", (FLOOR, "roc_auc(candidate) > 0.9999"))
    deliver(made, FIRST, SECOND)
    assert made.run(FIRST, only=DATA).success
    assert made.run(SECOND, only=DECIDED).success
    assert made.current("release", SECOND) is None
    yield made
    made.close()


def asked_again(made: Home, floor: str) -> str:
    """Another floor, another look, and what is said about the gates since."""
    made.edit("product.yaml", (FLOOR, f"roc_auc(candidate) > {floor}"))
    run = made.run(SECOND, only=DECIDED)
    assert run.success, run.errors
    return weakened_after_a_look(made.space.lineage, made.product, made.get("evaluation", SECOND))


@pytest.mark.long
def test_a_lower_floor_waits_for_a_person_and_a_higher_one_does_not(rejected: Home) -> None:
    assert asked_again(rejected, "0.99999") == ""
    told = asked_again(rejected, "0.05")
    assert "look 1 at this window was " in told
    assert "floor: prove roc_auc(candidate) > 0.9999 → prove roc_auc(candidate) > 0.05" in told
    status = release_status(rejected.space.lineage, rejected.product, rejected.get("release", SECOND))
    assert status.approvals.state == "waits"
    assert "since then the gates were weakened: floor" in status.approvals.message
