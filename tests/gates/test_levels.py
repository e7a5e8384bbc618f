"""The level of one look, and Holm's correction, against brute force."""

from itertools import product as every
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.core.gates.levels import holm, level, nodes


def asked_in_all(looks: int, ships: int) -> int:
    """Every history of verdicts after which one more comparison may be asked: each may ask another one."""
    histories = (history for length in range(looks) for history in every((True, False), repeat=length))
    return sum(sum(history) < ships for history in histories)


@pytest.mark.parametrize("looks", range(1, 9))
@pytest.mark.parametrize("ships", range(1, 9))
def test_nodes_are_the_comparisons_that_a_stubborn_asker_can_reach(looks: int, ships: int) -> None:
    assert nodes(looks, ships) == asked_in_all(looks, ships)


@pytest.mark.parametrize(("looks", "ships", "expected"), [(1, 1, 1), (5, 1, 5), (5, 5, 31), (3, 2, 6), (50, 1, 50)])
def test_nodes_of_some_budgets(looks: int, ships: int, expected: int) -> None:
    assert nodes(looks, ships) == expected
    assert level(SimpleNamespace(alpha=0.05, looks=looks, ships=ships)) == 0.05 / expected


def test_an_asker_who_knows_the_verdicts_keeps_alpha_over_the_window() -> None:
    """Every node is a test at the boundary of its own: the share of windows with any false ACCEPT is at most alpha."""
    random, looks, ships = np.random.default_rng(3), 4, 2
    at = level(SimpleNamespace(alpha=0.2, looks=looks, ships=ships))
    wrong = 0
    for _ in range(4000):
        looks_now, shipped = 0, 0
        while looks_now < looks and shipped < ships:
            shipped += random.random() <= at
            looks_now += 1
        wrong += shipped > 0
    assert wrong / 4000 <= 0.2


P_VALUES = st.lists(st.floats(0, 1, allow_nan=False), min_size=1, max_size=30)


@pytest.mark.long
@given(P_VALUES)
def test_holm_is_that_of_statsmodels(p_values: list[float]) -> None:
    from statsmodels.stats.multitest import multipletests  # half a minute to import

    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1].tolist(), abs=1e-12)


@given(P_VALUES)
def test_holm_is_his_step_down(p_values: list[float]) -> None:
    """Rejected at alpha: the smallest p-values for which each is at most alpha / (number left)."""
    for alpha in (0.01, 0.05, 0.5):
        rejected, left = set(), len(p_values)
        for place in sorted(range(len(p_values)), key=lambda i: p_values[i]):
            if p_values[place] * left > alpha:
                break
            rejected.add(place)
            left -= 1
        assert {i for i, p in enumerate(holm(p_values)) if p <= alpha} == rejected


@given(P_VALUES, st.integers(0, 29))
def test_what_could_not_be_tested_counts_and_stays_undefined(p_values: list[float], place: int) -> None:
    with_nan = [*p_values[:place], float("nan"), *p_values[place:]]
    adjusted = holm(with_nan)
    known = [level for level in adjusted if not np.isnan(level)]
    assert len(known) == len(p_values)
    assert known == pytest.approx(holm([*p_values, 1.0])[:-1])


def test_no_hypothesis_has_no_p_value() -> None:
    assert holm([]) == []
