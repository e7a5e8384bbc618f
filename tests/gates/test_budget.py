"""The budget of test windows: what a look costs, and that nobody gets more of them."""

import multiprocessing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ml_assets.cli.gates.budget import _picture
from ml_assets.core.evaluation.snapshot import comparison_digest
from ml_assets.core.gates.levels import level
from ml_assets.core.gates.records import VerdictRecord
from ml_assets.core.gates.verdict import gate_digest
from ml_assets.spec.product import Product
from resources.ledger.budget import Budget, Look, WindowRetired
from resources.ledger.ledger import Ledger
from tests.support.gated import product as gated

WINDOW = ("2013-02", "2013-03")


@pytest.fixture
def product(tmp_path: Path) -> Product:
    return gated(tmp_path / "products", budget={"alpha": 0.05, "looks": 3, "ships": 1})


@pytest.fixture
def budget(tmp_path: Path) -> Iterator[Budget]:
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    yield Budget(ledger)
    ledger.close()


def look_at(budget: Budget, product: Product, comparison: str, window: tuple[str, ...] = WINDOW) -> Look:
    return budget.charge(product, tested=window, comparison=comparison, gate=gate_digest(product), run="run")


def test_a_look_is_charged_before_its_verdict(budget: Budget, product: Product) -> None:
    look = look_at(budget, product, "one")
    assert (look.number, look.decision, look.window) == (1, None, WINDOW)
    window = budget.window(product, WINDOW)
    assert (window.left, window.ships, window.level) == (2, 0, level(product.gates.budget))
    budget.settle(product, look, "REJECT")
    assert budget.window(product, WINDOW).looks[0].decision == "REJECT"
    assert [entry.kind for entry in budget.ledger.entries()] == ["look", "verdict"]


def test_the_same_comparison_again_is_free(budget: Budget, product: Product) -> None:
    first = look_at(budget, product, "one")
    assert look_at(budget, product, "one") == first
    budget.settle(product, first, "INCONCLUSIVE")
    budget.settle(product, first, "INCONCLUSIVE")
    assert look_at(budget, product, "one").decision == "INCONCLUSIVE"
    assert [entry.kind for entry in budget.ledger.entries()] == ["look", "verdict"]


def test_after_a_crash_between_look_and_verdict_asking_again_is_free(budget: Budget, product: Product) -> None:
    look_at(budget, product, "one")
    again = look_at(budget, product, "one")
    budget.settle(product, again, "ACCEPT")
    assert (budget.window(product, WINDOW).ships, len(budget.window(product, WINDOW).looks)) == (1, 1)


def test_a_window_is_retired_by_its_looks(budget: Budget, product: Product) -> None:
    for number in range(3):
        budget.settle(product, look_at(budget, product, f"{number}"), "REJECT")
    with pytest.raises(WindowRetired, match=r"trains: the test window 2013-02 to 2013-03 is retired: 3 of 3 looks are used"):
        look_at(budget, product, "another")
    (refusal,) = [entry.body for entry in budget.ledger.entries() if entry.kind == "refusal"]
    assert (refusal["comparison"], refusal["stage"]) == ("another", "evaluation")
    assert "3 of 3 looks are used" in refusal["reasons"][0]
    assert look_at(budget, product, "1").number == 2
    assert look_at(budget, product, "fresh", ("2013-03", "2013-04")).number == 1


def test_a_window_is_retired_by_what_it_let_through(budget: Budget, product: Product) -> None:
    budget.settle(product, look_at(budget, product, "one"), "ACCEPT")
    with pytest.raises(WindowRetired, match="let through 1 of at most 1"):
        look_at(budget, product, "another")
    assert look_at(budget, product, "one").decision == "ACCEPT"


def test_what_was_let_through_once_stays_used(budget: Budget, product: Product) -> None:
    look = look_at(budget, product, "one")
    for decision in ("ACCEPT", "REJECT", "INCONCLUSIVE"):
        budget.settle(product, look, decision)
    assert budget.window(product, WINDOW).ships == 1


def test_whether_a_look_was_charged_is_asked_by_window_and_comparison(budget: Budget, product: Product) -> None:
    budget.charge(product, tested=("2013-02", "2013-01"), comparison="a" * 64, gate="g" * 64, run="r")
    record = VerdictRecord(product=product.name, window=("2013-03",), comparison="a" * 64, decision="ACCEPT")
    budget.ledger.append("verdict", record)
    by_window = {
        (product.name, ("2013-01", "2013-02"), "a" * 64): True,
        (product.name, ("2013-01", "2013-02"), "b" * 64): False,
        (product.name, ("2013-01",), "a" * 64): False,
        (product.name, ("2013-03",), "a" * 64): False,  # a verdict alone
        ("another", ("2013-01", "2013-02"), "a" * 64): False,
    }
    assert {about: budget.was_charged(*about) for about in by_window} == by_window


def test_a_verdict_without_a_look_counts_for_nothing(budget: Budget, product: Product) -> None:
    budget.settle(product, Look(WINDOW, "never asked", 1, "gate", "now", "run"), "ACCEPT")
    assert budget.window(product, WINDOW).looks == ()


def test_other_products_have_budgets_of_their_own(budget: Budget, product: Product) -> None:
    other = product.model_copy(update={"name": "buses"})
    look_at(budget, product, "one")
    assert budget.windows(other) == []
    assert look_at(budget, other, "one").number == 1
    assert [window.partitions for window in budget.windows(product)] == [WINDOW]


# --- SAFETY 22: cheating the test set ---


def asked_of(product: Product, *, candidate: str, tested: dict[str, str]) -> str:
    return comparison_digest(product, models={"candidate": candidate, "champion": "c", "anchor": "a"}, tested=tested)


def test_fifty_candidates_on_one_window_get_three_answers(budget: Budget, product: Product) -> None:
    answered = 0
    for number in range(50):
        comparison = asked_of(product, candidate=f"model {number}", tested=dict.fromkeys(WINDOW, "rows"))
        try:
            look_at(budget, product, comparison)
        except WindowRetired:
            continue
        answered += 1
    assert answered == 3


def test_a_changed_gates_block_is_another_look_at_the_same_window(tmp_path: Path, budget: Budget, product: Product) -> None:
    tested = dict.fromkeys(WINDOW, "rows")
    milder = gated(tmp_path / "milder", budget={"alpha": 0.2, "looks": 3, "ships": 1})
    one, other = (asked_of(product, candidate="model", tested=tested) for product in (product, milder))
    assert one != other
    assert [look_at(budget, product, c).number for product, c in ((product, one), (milder, other))] == [1, 2]


def test_raising_the_looks_grants_a_window_none_that_was_asked_before(tmp_path: Path, budget: Budget, product: Product) -> None:
    for number in range(2):
        look_at(budget, product, f"{number}")
    larger = gated(tmp_path / "larger", budget={"alpha": 0.05, "looks": 9, "ships": 4})
    assert (budget.window(larger, WINDOW).left, budget.window(larger, ("2013-09", "2013-10")).left) == (1, 9)
    look_at(budget, larger, "the last that is left")
    with pytest.raises(WindowRetired, match=r"3 of 3 looks are used; that 9 are declared now grants it none"):
        look_at(budget, larger, "one more")


def test_raising_the_promotions_grants_a_window_none_that_was_asked_before(
    tmp_path: Path, budget: Budget, product: Product
) -> None:
    budget.settle(product, look_at(budget, product, "one"), "ACCEPT")
    larger = gated(tmp_path / "larger", budget={"alpha": 0.05, "looks": 9, "ships": 4})
    with pytest.raises(WindowRetired, match="let through 1 of at most 1"):
        look_at(budget, larger, "another")


def test_a_smaller_budget_holds_for_windows_that_were_asked_before(tmp_path: Path, budget: Budget, product: Product) -> None:
    look_at(budget, product, "one")
    smaller = gated(tmp_path / "smaller", budget={"alpha": 0.05, "looks": 1, "ships": 1})
    with pytest.raises(WindowRetired):
        look_at(budget, smaller, "and another")


def test_a_window_of_another_length_keeps_the_charges_of_its_rows(budget: Budget, product: Product) -> None:
    for number in range(2):
        look_at(budget, product, f"{number}")
    longer, single = (*WINDOW, "2013-04"), ("2013-03",)
    assert [budget.window(product, window).left for window in (WINDOW, longer, single, ("2013-04",))] == [1, 1, 1, 3]
    assert look_at(budget, product, "longer", longer).number == 1
    assert [budget.window(product, window).left for window in (WINDOW, longer, single, ("2013-04",))] == [0, 0, 0, 2]
    with pytest.raises(WindowRetired, match=r"3 of 3 looks are used, 2 of them at other windows that hold its rows"):
        look_at(budget, product, "longer still", longer)
    assert [window.left for window in budget.windows(product)] == [0, 0]


def test_a_promotion_on_a_window_of_another_length_uses_its_rows_up(budget: Budget, product: Product) -> None:
    budget.settle(product, look_at(budget, product, "one"), "ACCEPT")
    with pytest.raises(WindowRetired, match="let through 1 of at most 1"):
        look_at(budget, product, "shorter", ("2013-03",))


def test_windows_of_one_length_that_overlap_have_budgets_of_their_own(budget: Budget, product: Product) -> None:
    look_at(budget, product, "one")
    assert budget.window(product, ("2013-03", "2013-04")).left == 3


@pytest.mark.parametrize("order", [WINDOW, WINDOW[::-1], (WINDOW[1], WINDOW[0], WINDOW[1])])
def test_partitions_in_another_order_are_the_same_window(budget: Budget, product: Product, order: tuple[str, ...]) -> None:
    for number in range(3):
        look_at(budget, product, f"{number}")
    with pytest.raises(WindowRetired):
        look_at(budget, product, "again", order)
    assert len(budget.windows(product)) == 1


def test_data_that_is_delivered_again_is_the_same_window_and_another_look(budget: Budget, product: Product) -> None:
    contents = ("rows", "corrected", "corrected again", "once more")
    comparisons = [asked_of(product, candidate="model", tested=dict.fromkeys(WINDOW, product_)) for product_ in contents]
    assert [look_at(budget, product, product_).number for product_ in comparisons[:3]] == [1, 2, 3]
    with pytest.raises(WindowRetired):
        look_at(budget, product, comparisons[3])


def _ask_many(url: str, folder: str, worker: int, queue: "multiprocessing.Queue[int]") -> None:
    from ml_assets.spec.product import load

    ledger, spec, charged = Ledger(url), load(Path(folder)), 0
    for number in range(5):
        try:
            look_at(Budget(ledger), spec, f"{worker} {number}")
        except WindowRetired:
            continue
        charged += 1
    ledger.close()
    queue.put(charged)


@pytest.mark.long
def test_processes_that_ask_at_once_share_one_budget(tmp_path: Path, budget: Budget, product: Product) -> None:
    look_at(budget, product, "before")
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    arguments = (budget.ledger.url, str(product.folder))
    workers = [context.Process(target=_ask_many, args=(*arguments, number, queue)) for number in range(4)]
    for worker in workers:
        worker.start()
    charged = [queue.get(timeout=120) for _ in workers]
    for worker in workers:
        worker.join(timeout=60)
    assert sum(charged) == 2
    window = budget.window(product, WINDOW)
    assert (len(window.looks), window.left, sorted(look.number for look in window.looks)) == (3, 0, [1, 2, 3])


def test_a_picture_shows_windows_contenders_and_charges() -> None:
    def window(*keys: str, decisions: list[str | None], paid_by: tuple[str, ...] = ()) -> dict[str, Any]:
        looks = [{"decision": decision, "paid_by": list(paid_by or keys)} for decision in decisions]
        return {"window": list(keys), "looks": looks}

    picture = _picture([window("d1", "d2", decisions=["REJECT", "ACCEPT"]), window("d2", "d3", decisions=[None])])
    assert picture.splitlines()[:-1] == [
        "d1  d2  d3  ",
        "RA──    ·   ",
        "·   o───    ",
        "2   3   1   looks charged",
    ]
    kept = _picture([window("d1", decisions=["INCONCLUSIVE"]), window("d1", "d2", decisions=["ACCEPT"], paid_by=("d2",))])
    assert kept.splitlines()[1:-1] == ["?   ·   ", "────A   ", "1   1   looks charged"]
