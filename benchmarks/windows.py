"""A/A pairs on flights, by month, by four weeks and on days drawn again: what stops models of which neither is better; and how
soon a better one is let through where an undecided candidate is kept. Reads the home of `make demo`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.simulations.unit_worlds import mean_of
from benchmarks.tables import table
from ml_assets.cli.shared.context import product_named
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.gate_lab.resampling import clopper_pearson, redrawn
from ml_assets.core.gates.bounds import shown
from ml_assets.core.gates.panel import Panel
from ml_assets.core.gates.too_good import gain, too_good
from ml_assets.core.gates.verdict import Verdict, judge
from ml_assets.core.metrics.arrays import Floats
from ml_assets.core.metrics.spread import WindowSums
from ml_assets.services.gate_lab.past_walk import WalkedPartition, walk
from ml_assets.services.gate_lab.planted_truths import worse
from ml_assets.services.gate_lab.stored_comparisons import cases
from ml_assets.services.gate_lab.subject import MutationSubject
from ml_assets.spec.gates import ClaimSpec
from ml_assets.spec.product import Product
from resources.settings import settings

FOUR_WEEKS, MONTH, MOST = 28, 30, 3
DRAWN, HISTORIES = 100, 100
"""Windows for each run: of A/A pairs, and of histories of a better candidate."""
BETTER, MARGIN, LEVEL, PAST = 0.01, 0.02, 0.025, 5
SEED = 20130101


@dataclass(frozen=True)
class Stopped:
    """Of `windows` with an A/A pair: by claim how many failed, and how many gains were too good to be true."""

    name: str
    windows: int
    failed: Mapping[str, int]
    undecided: int
    alarms: int | None = None


def measure(*, months: int, runs: int) -> dict[str, Any]:
    """`runs` hundred windows and histories; every month of the home. `months` decides nothing."""
    space = Workspace(settings())
    product = product_named("flights", space.settings)
    panels = [_pair(step) for step in walk(cases(space.lineage, product)) if step.champion]
    pool, random = _joined(panels), np.random.default_rng(SEED)
    weeks = list(_cut(pool, FOUR_WEEKS))
    drawn = [redrawn(pool, random, units=MONTH) for _ in range(runs * DRAWN)]
    stopped = [
        _stopped("by month", product, panels, in_order=True),
        _stopped("by four weeks", product, weeks, in_order=True),
        _stopped("30 days drawn again", product, drawn, in_order=False),
    ]
    within = _within(pool, random, histories=runs * HISTORIES)
    return {"stopped": [vars(row) for row in stopped], "within": within, "histories": runs * HISTORIES}


def text(measured: Mapping[str, Any]) -> str:
    """The tables."""
    names = list(measured["stopped"][0]["failed"])
    rows = [
        [
            row["name"],
            f"{row['windows']}",
            *(_share(row["failed"][name], row["windows"]) for name in names),
            f"{row['undecided']}",
            "" if row["alarms"] is None else f"{row['alarms']}",
        ]
        for row in measured["stopped"]
    ]
    pairs = table(["A/A pairs", "windows", *(f"{name} failed" for name in names), "undecided", "too good"], rows)
    within = ", ".join(f"{share:.0%}" for share in measured["within"])
    better = (
        f"better by {BETTER} ROC AUC, margin {MARGIN}, level {LEVEL:.1%}, {measured['histories']} histories of days drawn again: "
        f"let through within 1, 2 and 3 windows in {within}"
    )
    return f"{pairs}\n\n{better}"


def _share(hits: int, tries: int) -> str:
    low, high = clopper_pearson(hits, tries)
    return f"{hits} ({low:.1%} to {high:.1%})"


def _pair(step: WalkedPartition) -> Panel:
    """The month with two models of the candidate's recipe, which differ by their seeds."""
    on = MutationSubject(step.case, Path())
    one, other = (on.scored(on.fitted(on.trained, seed=on.product.model.seed + number)) for number in (1, 2))
    return step.case.panel({"candidate": one, "champion": other, "anchor": other})


def _joined(panels: Sequence[Panel]) -> Panel:
    """All rows of these months, their days one after another."""
    starts = np.cumsum([0, *(panel.units.count for panel in panels)])[:-1]
    codes = [panel.units.codes + start for panel, start in zip(panels, starts, strict=True)]
    scores = {role: np.concatenate([panel.scores[role] for panel in panels]) for role in panels[0].scores}
    columns = {name: pl.concat([panel.columns[name] for panel in panels]) for name in panels[0].columns}
    y = np.concatenate([panel.y for panel in panels])
    return replace(panels[0], y=y, scores=scores, codes=np.concatenate(codes), columns=columns)


def _cut(pool: Panel, days: int) -> Iterator[Panel]:
    """Windows of so many days, one after another; the last days that fill none are left out."""
    for first in range(0, pool.units.count - days + 1, days):
        window = pool.part(np.flatnonzero((pool.codes >= first) & (pool.codes < first + days)))
        yield replace(window, codes=window.codes - first)


def _stopped(name: str, product: Product, panels: Sequence[Panel], *, in_order: bool) -> Stopped:
    """What the product's gates say of these windows; the gains of windows in order are held against those before."""
    verdicts = [judge(product, panel) for panel in panels]
    claims = [claim.name for claim in product.gates.claims]
    failed = {claim: sum(_outcome(verdict, claim) == "FAIL" for verdict in verdicts) for claim in claims}
    undecided = sum(verdict.decision == "INCONCLUSIVE" for verdict in verdicts)
    return Stopped(name, len(panels), failed, undecided, _alarms(product, panels) if in_order else None)


def _outcome(verdict: Verdict, claim: str) -> str:
    return next((result.outcome for result in verdict.claims if result.name == claim), "")


def _alarms(product: Product, panels: Sequence[Panel]) -> int:
    gains = [gain(panel, product.gates.metric, unit=product.gates.unit) for panel in panels]
    known = [one for one in gains if one is not None]
    return sum(bool(too_good(now, known[:number])) for number, now in enumerate(known))


def _within(pool: Panel, random: np.random.Generator, *, histories: int) -> list[float]:
    """The share of histories in which a better candidate is let through within 1, 2 and 3 windows of days drawn again, each time
    on all of them so far pooled. It is the champion that is made worse, whole days at a time."""
    claim = ClaimSpec.model_validate({"name": "better", "prove": f"roc_auc(candidate) - roc_auc(champion) > -{MARGIN}"})
    spoilt, _ = worse(replace(pool, scores={"champion": pool.scores["candidate"]}), pool.codes, claim, BETTER)
    pair = replace(pool, scores={"candidate": pool.scores["candidate"], "champion": spoilt})
    passed = np.zeros((histories, MOST), dtype=bool)
    for history in range(histories):
        windows = [redrawn(pair, random, units=MONTH) for _ in range(PAST + MOST)]
        measured = [window.measured(claim.form.terms) for window in windows]
        past: list[WindowSums] = [sums for one in measured[:PAST] if (sums := one.spread().sums) is not None]
        for count in range(1, MOST + 1):
            sizes = [_sizes(window) for window in windows[PAST : PAST + count]]
            pooled = mean_of(measured[PAST : PAST + count], sizes)
            passed[history, count - 1] = shown(pooled, constant=-MARGIN, sign=">", past=past).p_proof <= LEVEL
    return [float(share) for share in np.maximum.accumulate(passed, axis=1).mean(axis=0)]


def _sizes(window: Panel) -> Floats:
    """The rows of each day: (days,)."""
    return np.bincount(window.units.codes).astype(np.float64)
