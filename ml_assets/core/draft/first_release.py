"""The first release in a replay of the history, found by judging its windows one after another as the path will."""

from collections.abc import Callable
from dataclasses import replace
from math import inf

import polars as pl

from ml_assets.core.draft.draft import Draft
from ml_assets.core.draft.drafting import longer, planned
from ml_assets.core.draft.gates import FirstRelease, Plan, modest, tried_plan
from ml_assets.core.draft.trials import Trials
from ml_assets.core.draft.window_sizes import WindowSizes
from ml_assets.core.gates.verdict import judge
from ml_assets.spec.product import Product

LEAST_JUDGED, MOST_JUDGED = 4, 24
"""Windows that are judged in search of a first release; of a longer history, or a larger table, every second or third."""
UNKNOWN = "no window of the history could be tried"


def decided_plan(
    draft: Draft, *, loaded: Callable[[Plan], Product], features: Callable[[Product], pl.DataFrame], say: Callable[[str], None]
) -> Plan:
    """The plan with which a replay of the history has a release soon: the usual one, one that is held to a simpler model, one
    with longer windows; where none has it soon, the one that has it first. `loaded` drafts the product with a plan, and
    `features` gives the rows of the history with label and `partition`.

    Only where the last windows show that a model is better than a simple one: else the search would end with the window, of many,
    in which a model that is no better was lucky. Then the plan is the usual one, and its first release is no more than foretold.
    """
    usual: Plan | None = None
    best: Plan | None = None
    plan: Plan | None = planned(draft)
    while plan is not None:
        product = loaded(plan)
        trials = Trials(features(product), product, slices=[column.field for column in draft.slices])
        tried = tried_plan(plan, trials, say=say)
        if usual is None and not tried.decides:
            usual = replace(tried, release=first_release(tried, trials, loaded(tried), since=tried.windows.minimum))
        for option in filter(None, (tried, modest(tried, product.task)) if tried.decides else ()):
            found = _early(option, trials, loaded(option))
            if best is None or _number(found) < _number(best):
                best = found
            if _number(best) <= _soon(plan):
                return best
        plan = longer(draft, plan)
    chosen = best or usual
    assert chosen is not None
    return chosen


def first_release(plan: Plan, trials: Trials, product: Product, *, since: int) -> FirstRelease:
    """The first release where a candidate needs `since` training partitions. `product` is drafted with the plan."""
    windows = plan.windows
    reasons: tuple[str, ...] = (UNKNOWN,)
    ends = range(since + windows.test, len(windows.keys) + 1)
    most = min(MOST_JUDGED, max(LEAST_JUDGED, trials.affordable(windows)))
    for end in ends[:: -(-len(ends) // most) or 1]:
        if (trial := trials.ending(windows, end)) is None:
            continue
        verdict = judge(product, trial.panels[plan.baseline], has_champion=False)
        if verdict.is_accept:
            return FirstRelease(end, _named(windows, end, product))
        reasons = verdict.reasons
    return FirstRelease(reasons=reasons)


def _early(plan: Plan, trials: Trials, product: Product) -> Plan:
    """The plan with its first release, and with the first candidate as early as that."""
    release = first_release(plan, trials, product, since=plan.windows.earliest)
    return replace(plan, release=release, windows=plan.windows.since(release.number) if release.number else plan.windows)


def _named(windows: WindowSizes, end: int, product: Product) -> str:
    """The delivery that ends a window. Of a table without a time the first delivery is judged on the first fold."""
    if not product.features.time:
        return f"delivery {end - 1}"
    return f"{windows.keys[end - 1]}, delivery {end} of {len(windows.keys)}"


def _soon(plan: Plan) -> int:
    """The number of the last delivery with which a first release is soon: one of the first half."""
    return max(plan.windows.earliest + plan.windows.test, len(plan.windows.keys) // 2)


def _number(plan: Plan) -> float:
    """The number of the delivery with the first release, infinite where there is none."""
    return plan.release.number if plan.release and plan.release.number else inf
