"""Planted truths: candidates of which it is known what they are worth, in the place of each partition's real one."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl

from ml_assets.core.gate_lab import mutants as m
from ml_assets.core.gate_lab.diagnoses import SAME, margin
from ml_assets.core.gates.panel import Panel
from ml_assets.core.gates.verdict import Verdict
from ml_assets.core.metrics.arrays import Floats
from ml_assets.core.metrics.registry import METRICS
from ml_assets.services.gate_lab.model_mutants import SEED
from ml_assets.services.gate_lab.past_walk import WalkedPartition, by_unit
from ml_assets.services.gate_lab.subject import MutationSubject
from ml_assets.spec.gates import ClaimSpec
from ml_assets.spec.tasks import TASKS

NOISE = 0.02
NOISY = "A/A noise"
PAIRS = (SAME, NOISY)
"""Candidates that are compared with the champion alone, as anchor too: of neither is the other better."""
FINE = ("row", "hour", "day")
"""Units that are planted as days: rows and hours of one day are good or bad together."""
TRIALS = 14
CLOSE = 1.01


@dataclass(frozen=True)
class Planted:
    """The verdicts on one planted candidate over the past, by the declared unit and by `row`."""

    name: str
    truth: str
    verdicts: tuple[Verdict, ...]
    by_row: tuple[Verdict, ...]


def planted(steps: Sequence[WalkedPartition], *, tell: Callable[[str], None] = lambda _: None) -> list[Planted]:
    """Every planted candidate, in each partition that had a champion. `tell` hears how far it is."""
    compared = [step for step in steps if step.champion]
    truths = {
        "shuffled labels": "knows nothing",
        "constant": "knows nothing",
        "lost strong feature": "worse by more than any margin",
        "worse by 1.5 margins": "worse, whole units at a time",
        SAME: "the champion, against itself",
        NOISY: "the champion with its scores moved a little, against itself",
    }
    verdicts: dict[str, list[tuple[Verdict, Verdict]]] = {name: [] for name in truths}
    lost: dict[str, list[str]] = {}
    for step in compared:
        for name, scores in _candidates(step, lost):
            tell(f"{step.case.partition}: {name}")
            against = {"champion": step.scores["champion"], "anchor": step.scores["champion"]} if name in PAIRS else {}
            verdicts[name].append((step.judge(scores, against), step.judge(scores, against, unit="row")))
    return [
        Planted(name, truths[name], tuple(one for one, _ in pairs), tuple(other for _, other in pairs))
        for name, pairs in verdicts.items()
        if pairs
    ]


def _candidates(step: WalkedPartition, lost: dict[str, list[str]]) -> Iterator[tuple[str, Floats]]:
    champion, product = step.scores["champion"], step.case.product
    random = np.random.default_rng(SEED)
    before = step.case.rows(step.case.trained[-1:])
    subject = MutationSubject(step.case, Path())
    fitted = subject.fitted(m.shuffled(before, label=product.features.label, seed=SEED))
    yield "shuffled labels", subject.scored(fitted)
    yield "constant", m.constant(before[product.features.label].cast(pl.Float64).to_numpy(), champion)
    yield "lost strong feature", _without_strong(step, lost)
    if allowed := [(c, margin(c)) for c in single(step) if margin(c) > 0]:
        claim, worst = allowed[0]
        codes = clustered(step)
        yield "worse by 1.5 margins", worse(step.panel, codes, claim, 1.5 * worst)[0]
    yield SAME, champion.copy()
    rows = np.arange(len(champion))
    yield NOISY, m.shaken(champion, rows, random, size=NOISE, task=product.task)


def _without_strong(step: WalkedPartition, ordered: dict[str, list[str]]) -> Floats:
    """The champion with nothing in its strong features: as many as make it worse here by more than any margin. `ordered` keeps
    the order of the features of each champion."""
    assert step.champion is not None
    loaded, key = step.case.loaded(step.champion.model), step.champion.partition
    metric = TASKS[step.panel.task].harm
    greatest = METRICS[metric].greater_is_better
    before = step.panel.metric(metric, "champion").value

    def harm(scores: Floats) -> float:
        now = replace(step.panel, scores={"candidate": scores}).metric(metric, "candidate").value
        return before - now if greatest else now - before

    def score(some: Sequence[str]) -> Floats:
        return loaded.score(m.emptied(step.case.frame, columns=some))

    if key not in ordered:
        ordered[key] = m.costliest([feature["name"] for feature in loaded.features], score, harm=harm)
    clear = 2 * max((margin(claim) for claim in single(step)), default=0.0) or (0.05 if greatest else before / 10)
    return m.until_it_hurts(ordered[key], score, harm=harm, clear=clear)[1]


def worse(panel: Panel, codes: np.ndarray, claim: ClaimSpec, wanted: float, *, seed: int = SEED) -> tuple[Floats, float]:
    """The champion's scores, shaken by unit until they are worse on these rows by what is wanted or hardly more; and by how much
    they are."""
    champion = panel.scores["champion"]
    metric = claim.form.measures[0].metric
    before = panel.metric(metric, "champion").value

    @cache
    def at(size: float) -> tuple[Floats, float]:
        scores = m.shaken(champion, codes, np.random.default_rng(seed), size=size, task=panel.task)
        change = replace(panel, scores={"candidate": scores}).metric(metric, "candidate").value - before
        return scores, -change if claim.form.sign == ">" else change

    low, high = 0.0, 0.1 if TASKS[panel.task].is_classifier else 0.1 * float(np.std(panel.y))
    for _ in range(TRIALS):
        if at(high)[1] >= wanted:
            break
        low, high = high, 2 * high
    for _ in range(TRIALS):
        if at(high)[1] <= CLOSE * wanted:
            break
        middle = (low + high) / 2
        low, high = (low, middle) if at(middle)[1] >= wanted else (middle, high)
    return at(high)


def clustered(step: WalkedPartition) -> np.ndarray:
    """The code of the unit that truths are planted by: a day, or whatever coarser unit is declared; where rows have no time, the
    unit itself."""
    product = step.case.product
    coarse = by_unit(step.case, "day") if product.gates.unit in FINE and product.features.time else step.case
    return coarse.panel({"candidate": step.scores["champion"]}).codes


def single(step: WalkedPartition) -> list[ClaimSpec]:
    """The claims that prove a difference of one metric between the candidate and a release, on all rows."""
    return [
        claim
        for claim in step.case.product.gates.claims
        if claim.kind == "prove" and not claim.for_each and [w for w, _ in claim.form.terms] == [1.0, -1.0]
        and all(measure.kind == "metric" and not measure.column for measure in claim.form.measures)
        and claim.form.measures[0].models == ("candidate",) and "baseline" not in claim.form.models
    ]  # fmt: skip
