"""Planted truths: candidates of which it is known what they are worth, in the place of each partition's real one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl

from ml_assets.core.gate_lab import mutants as m
from ml_assets.core.gate_lab.diagnoses import SAME, Leak, margin
from ml_assets.core.gate_lab.resampling import redrawn
from ml_assets.core.gates.bounds import shown
from ml_assets.core.gates.history import MOST_WINDOWS
from ml_assets.core.gates.levels import level
from ml_assets.core.gates.panel import Panel
from ml_assets.core.gates.verdict import Verdict
from ml_assets.core.metrics.arrays import Floats
from ml_assets.core.metrics.spread import WindowSums
from ml_assets.services.gate_lab.model_mutants import SEED
from ml_assets.services.gate_lab.past_walk import Step, by_unit
from ml_assets.services.gate_lab.subject import Subject
from ml_assets.spec.gates import ClaimSpec

BEYOND = 1.1
"""How many margins worse the candidate is whose share of passes is counted."""
NOISE = 0.02
NOISY = "A/A noise"
PAIRS = (SAME, NOISY)
"""Candidates that are compared with the champion alone, as anchor too: of neither is the other better."""
FINE = ("row", "hour", "day")
"""Units that are planted as days: rows and hours of one day are good or bad together."""
TRIALS = 14


@dataclass(frozen=True)
class Planted:
    """What became of one planted candidate over the past, by the declared unit and by `row`."""

    name: str
    truth: str
    verdicts: tuple[Verdict, ...]
    by_row: tuple[Verdict, ...]


def planted(steps: Sequence[Step]) -> list[Planted]:
    """Every planted candidate, in each partition that had a champion."""
    compared = [step for step in steps if step.champion]
    truths = {
        "shuffled labels": "knows nothing",
        "constant": "knows nothing",
        "lost strong feature": "worse by more than any margin",
        "worse by 1.5 margins": "worse, whole units at a time",
        SAME: "the champion, against itself",
        NOISY: "the champion with its scores moved a little, against itself",
    }
    found: dict[str, list[tuple[Verdict, Verdict]]] = {name: [] for name in truths}
    lost: dict[str, list[str]] = {}
    for step in compared:
        for name, scores in _candidates(step, lost):
            against = {"champion": step.scores["champion"], "anchor": step.scores["champion"]} if name in PAIRS else {}
            found[name].append((step.judge(scores, against), step.judge(scores, against, unit="row")))
    return [
        Planted(name, truths[name], tuple(one for one, _ in pairs), tuple(other for _, other in pairs))
        for name, pairs in found.items()
        if pairs
    ]


def _candidates(step: Step, lost: dict[str, list[str]]) -> Iterator[tuple[str, Floats]]:
    champion, product = step.scores["champion"], step.case.product
    random = np.random.default_rng(SEED)
    before = step.case.rows(step.case.trained[-1:])
    subject = Subject(step.case, Path())
    fitted = subject.fitted(m.shuffled(before, label=product.features.label, seed=SEED))
    yield "shuffled labels", subject.scored(fitted)
    yield "constant", m.constant(champion.size, float(before[product.features.label].cast(pl.Float64).to_numpy().mean()))
    yield "lost strong feature", _without_strong(step, lost)
    if allowed := [(c, margin(c)) for c in _single(step) if margin(c) > 0]:
        claim, worst = allowed[0]
        codes = _clustered(step)
        yield "worse by 1.5 margins", _worse(step.panel, codes, claim, 1.5 * worst)[0]
    yield SAME, champion.copy()
    rows = np.arange(champion.size)
    yield NOISY, m.shaken(champion, rows, random, size=NOISE, task=product.task)


def _without_strong(step: Step, ordered: dict[str, list[str]]) -> Floats:
    """The champion with nothing in its strong features: as many as make it worse here by more than any margin. `ordered` keeps
    the order of the features of each champion."""
    assert step.champion is not None
    loaded, key = step.case.loaded(step.champion.model), step.champion.partition
    greatest = step.panel.task == "binary"
    metric = "roc_auc" if greatest else "rmse"
    before = step.panel.metric(metric, "champion").value

    def harm(scores: Floats) -> float:
        now = replace(step.panel, scores={"candidate": scores}).metric(metric, "candidate").value
        return before - now if greatest else now - before

    def score(some: Sequence[str]) -> Floats:
        return loaded.score(m.emptied(step.case.frame, columns=some))

    if key not in ordered:
        ordered[key] = m.costliest([feature["name"] for feature in loaded.features], score, harm=harm)
    clear = 2 * max((margin(claim) for claim in _single(step)), default=0.0) or (0.05 if greatest else before / 10)
    return m.until_it_hurts(ordered[key], score, harm=harm, clear=clear)[1]


def leaks(steps: Sequence[Step], *, windows: int, seed: int = SEED) -> list[Leak]:
    """Windows of units drawn from all of the past, a week of days together: how often a candidate passes that is worse by more
    than the margin. Each learns from the product's past windows, as the next one would."""
    compared = [step for step in steps if step.champion]
    if not compared:
        return []
    pool, at = _pool(compared), level(compared[0].case.product.gates.budget)
    unit = compared[0].case.product.gates.unit
    count = int(np.median([np.unique(_clustered(step)).size for step in compared]))
    found = []
    for claim in _single(compared[0]):
        if (allowed := margin(claim)) <= 0 or "champion" not in claim.form.models:
            continue
        scores, harm = _worse(pool, pool.codes, claim, BEYOND * allowed)
        spoilt = replace(pool, scores={**pool.scores, "candidate": scores})
        past, random, hits, hits_by_row = _past(spoilt, claim, compared), np.random.default_rng(seed), 0, 0
        for _ in range(windows):
            window = redrawn(spoilt, random, units=count)
            hits += _passes(claim, window if unit != "row" else window.by_row(), at, past)
            hits_by_row += _passes(claim, window.by_row(), at)
        found.append(Leak(claim.name, harm, windows, hits, hits_by_row))
    return found


def _passes(claim: ClaimSpec, window: Panel, at: float, past: Sequence[WindowSums] = ()) -> bool:
    test = shown(window.measured(claim.form.terms), constant=claim.form.constant, sign=claim.form.sign, past=past)
    return test.p_proof <= at


def _past(pool: Panel, claim: ClaimSpec, steps: Sequence[Step]) -> list[WindowSums]:
    """What the newest windows of the past show of a claim, each by itself."""
    ends = np.cumsum([step.panel.rows for step in steps])
    windows = (pool.part(np.arange(end - step.panel.rows, end)) for step, end in zip(steps, ends, strict=True))
    sums = [window.measured(claim.form.terms).spread().sums for window in windows]
    return [each for each in sums if each is not None][-MOST_WINDOWS:]


def _pool(steps: Sequence[Step]) -> Panel:
    """All rows of the past with the scores of who answered; units that are apart stay apart."""
    codes, first = [], 0
    for step in steps:
        own = np.unique(_clustered(step), return_inverse=True)[1] + first
        first = int(own.max()) + 1
        codes.append(own)
    champion = np.concatenate([step.scores["champion"] for step in steps])
    y = np.concatenate([step.panel.y for step in steps])
    return replace(
        steps[0].panel, y=y, scores={"candidate": champion, "champion": champion}, codes=np.concatenate(codes), columns={}
    )


def _worse(panel: Panel, codes: np.ndarray, claim: ClaimSpec, wanted: float) -> tuple[Floats, float]:
    """The champion's scores, shaken by unit until they are worse by as much as wanted on these rows; and how much it became."""
    champion = panel.scores["champion"]

    @cache
    def at(size: float) -> tuple[Floats, float]:
        scores = m.shaken(champion, codes, np.random.default_rng(SEED), size=size, task=panel.task)
        changed = replace(panel, scores={**panel.scores, "candidate": scores, "anchor": champion})
        value = sum(weight * changed.metric(each.metric, each.models[0]).value for weight, each in claim.form.terms)
        return scores, -value if claim.form.sign == ">" else value

    low, high = 0.0, 0.1 if panel.task == "binary" else 0.1 * float(np.std(panel.y))
    for _ in range(TRIALS):
        if at(high)[1] >= wanted:
            break
        low, high = high, 2 * high
    for _ in range(TRIALS):
        middle = (low + high) / 2
        low, high = (low, middle) if at(middle)[1] >= wanted else (middle, high)
    return at(high)


def _clustered(step: Step) -> np.ndarray:
    """The code of the unit that truths are planted by: a day, or whatever coarser unit is declared."""
    unit = step.case.product.gates.unit
    coarse = by_unit(step.case, "day") if unit in FINE else step.case
    return coarse.panel({"candidate": step.scores["champion"]}).codes


def _single(step: Step) -> list[ClaimSpec]:
    """The claims that prove a difference of one metric between the candidate and a release, on all rows."""
    return [
        claim
        for claim in step.case.product.gates.claims
        if claim.kind == "prove" and not claim.for_each and [w for w, _ in claim.form.terms] == [1.0, -1.0]
        and all(each.kind == "metric" and not each.column for each in claim.form.measures)
        and claim.form.measures[0].models == ("candidate",) and "baseline" not in claim.form.models
    ]  # fmt: skip
