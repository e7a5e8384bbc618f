"""What a verdict learns from: evaluations that were charged before it, the same ones however often it is asked."""

from typing import Any

import pytest

from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.services.earlier_evaluations import earlier_evaluations
from ml_assets.spec.product import Product
from resources.ledger.budget import Budget
from tests.support.records import JUDGED, manifest

NEXT = "2014-02"


class Asked:
    """Comparisons that were charged and evaluated, one after the other."""

    def __init__(self, workspace: Workspace, product: Product) -> None:
        self.workspace, self.product = workspace, product

    def ask(self, partition: str, comparison: str) -> None:
        budget = Budget(self.workspace.ledger)
        budget.charge(self.product, tested=[partition], comparison=comparison, gate="g", run="r")

    def evaluate(self, partition: str, comparison: str, **facts: Any) -> Manifest:
        facts_now = {**JUDGED, "tested": [partition], "look": {"number": 1, "comparison": comparison}, **facts}
        evaluation = manifest(partition + comparison, stage="evaluation", partition=partition, facts=facts_now)
        self.workspace.ledger.publish(evaluation, run="r")
        return evaluation

    def both(self, partition: str, comparison: str = "one") -> Manifest:
        self.ask(partition, comparison)
        return self.evaluate(partition, comparison)

    def before(self, partition: str, comparison: str = "one") -> list[Manifest]:
        return earlier_evaluations(self.workspace.lineage, self.product, [partition], comparison=comparison)


@pytest.fixture
def asking(workspace: Workspace, product: Product) -> Asked:
    return Asked(workspace, product)


def test_the_newest_ten_earlier_windows_count_oldest_first(asking: Asked) -> None:
    evaluation = [asking.both(f"2013-{month:02}") for month in range(1, 13)]
    assert asking.before(NEXT) == evaluation[-10:]
    assert asking.before("2013-03") == evaluation[:2]
    assert asking.before("2013-01") == []


def test_a_window_that_was_not_charged_or_not_evaluated_does_not_count(asking: Asked) -> None:
    asking.evaluate("2013-01", "pulled from another home")
    asking.ask("2013-02", "crashed before its verdict")
    assert asking.before(NEXT) == []


def test_the_same_comparison_again_learns_from_the_same_windows_whatever_was_asked_since(asking: Asked) -> None:
    first = asking.both("2013-01")
    asking.both("2013-03")
    before = asking.before("2013-03")
    again = asking.both("2013-01", "two")
    later = asking.both("2013-02")
    assert asking.before("2013-03") == before == [first]
    assert asking.before("2013-03", "another") == [again, later]
