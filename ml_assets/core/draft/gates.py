"""Gates that this amount of data can decide: tried on windows of the history, by the code that judges.

A candidate and a champion are trained as they would have been, and scored on the windows after. From the error of each comparison
follows the margin at which a candidate that is no different passes, and which simple model is clearly beaten.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ml_assets.core.draft.threshold_guards import BUDGET, NO_DIFFERENT, WANTED, DraftedClaim, threshold_guards
from ml_assets.core.draft.trials import DraftTrial, Trials
from ml_assets.core.draft.window_sizes import WindowSizes
from ml_assets.core.gate_lab.power import powers
from ml_assets.core.gates.levels import level
from ml_assets.core.gates.panel import Panel
from ml_assets.spec.gates import ClaimSpec, MinimumSpec
from ml_assets.spec.product import Product
from ml_assets.spec.tasks import TASKS, Task

MOST_COMPARED, MOST_OTHERS = 2, 4
"""Windows that are tried with a champion, and without."""
MARGINS = (0.01, 0.02, 0.03, 0.05, 0.08, 0.1, 0.15)
FACTORS = (1.02, 1.05, 1.1, 1.15, 1.2, 1.3, 1.5)
MEAN, BEATS_SIMPLE = "{prior: true}", "beats_simple"


@dataclass(frozen=True)
class FirstRelease:
    """The first release in a replay of the history, as tried: the number of the delivery (0: none, with the reasons why not)
    and its name."""

    number: int = 0
    delivery: str = ""
    reasons: tuple[str, ...] = ()

    def __str__(self) -> str:
        """After "the first release": with which delivery it comes."""
        return f"with {self.delivery}" if self.number else "none"


@dataclass(frozen=True)
class Plan:
    """The `gates` block, and what it is built on. `baseline` is a simple model as YAML; `value` the metric in the trial;
    `decides`: whether the trial clearly beat a simple model; `release`: the first that a replay will have."""

    unit: str
    windows: WindowSizes
    minimum: MinimumSpec
    baseline: str
    claims: tuple[DraftedClaim, ...]
    metric: str
    value: float | None = None
    max_drop: float = 0.05
    notes: tuple[str, ...] = ()
    decides: bool = False
    release: FirstRelease | None = None


def first_plan(task: Task, unit: str, windows: WindowSizes, minimum: MinimumSpec) -> Plan:
    """A plan of which nothing is tried yet: what the product is loaded with for the trial."""
    metric = TASKS[task].harm
    text = "roc_auc(candidate) > 0.5" if task == "binary" else f"{metric}(candidate) - {metric}(baseline) < 0"
    return Plan(unit, windows, minimum, MEAN, (DraftedClaim("first", "prove", text, ""),), metric)


def tried_plan(first: Plan, trials: Trials, *, say: Callable[[str], None]) -> Plan:
    """The plan after its trials: the last windows of the history with a champion, and some before them for the limits."""
    windows, product = first.windows, trials.product
    last = [len(windows.keys) - number * windows.test for number in range(MOST_COMPARED)]
    compared = [trial for end in last if (trial := _trial_with_champion(trials, windows, end, say)) is not None]
    if not compared:
        note = "no window of the history could be tried: the gates are drafted without knowing what they can decide"
        return _plan(first, product, [], [], slices=trials.slices, notes=[note])
    count = min(MOST_OTHERS, trials.affordable(windows))
    ends = _spread(windows.minimum + windows.test, min(last) - windows.test, count)
    others = (trials.ending(windows, end) for end in ends)
    return _plan(first, product, compared, [trial for trial in others if trial], slices=trials.slices, notes=[])


def _trial_with_champion(trials: Trials, windows: WindowSizes, end: int, say: Callable[[str], None]) -> DraftTrial | None:
    train, _, test = windows.ending(end)
    if not train:
        return None
    say(f"trying gates on {test[0]} to {test[-1]}" if len(test) > 1 else f"trying gates on {test[0]}")
    return trials.ending(windows, end, champion=True)


def _spread(first: int, last: int, count: int) -> list[int]:
    """Ends of windows from the first to the last, at most `count` of them."""
    return sorted({round(end) for end in np.linspace(first, last, count)}) if first <= last else []


def _simple_model(trials: Sequence[DraftTrial], metric: str) -> tuple[str, bool]:
    """The best simple model that the candidate clearly beat in every trial; else the mean, and whether that was beaten."""
    sign = 1 if metric == "roc_auc" else -1
    quality = {
        text: sign * np.mean([t.panels[text].metric(metric, "baseline").value for t in trials]) for text in trials[0].panels
    }
    for text in sorted(quality, key=lambda metric_text: -quality[metric_text]):
        if all(_beats(trial.panels[text], metric) for trial in trials):
            return text, True
    return MEAN, False


def _beats(window: Panel, metric: str) -> bool:
    """Whether a candidate like this one passes in four of five windows."""
    claim = ClaimSpec(name="beats", prove=_beats_text(metric))
    test = window.tested(claim.form.terms, constant=claim.form.constant, sign=claim.form.sign)
    return test.is_defined and test.advantage >= test.detectable(level(BUDGET))


def _named(simple: str, task: Task) -> str:
    """A simple model in words."""
    kind, _, columns = simple.strip("{}").partition(": ")
    of = columns.strip("[]")
    mean = {"regression": "the mean label", "binary": "the share of yes", "multiclass": "the shares of the classes"}[task]
    return {"prior": mean, "last_value": f"the last label with the same {of}"}.get(kind, f"a linear model of {of}")


def _beats_text(metric: str) -> str:
    return f"{metric}(candidate) - {metric}(baseline) {'>' if metric == 'roc_auc' else '<'} 0"


def _plan(
    first: Plan,
    product: Product,
    trials: Sequence[DraftTrial],
    others: Sequence[DraftTrial],
    *,
    slices: Sequence[str],
    notes: list[str],
) -> Plan:
    metric, binary = first.metric, product.task == "binary"
    text, beats = _simple_model(trials, metric) if trials else (MEAN, False)
    value = float(np.mean([t.any.metric(metric, "candidate").value for t in trials])) if trials else None
    margin, why = _margin(metric, trials, product)
    claims = [DraftedClaim("not_worse", "prove", margin, why)]
    note = "the trial shows it" if beats else "the trial did not show it: expect INCONCLUSIVE until features or history are added"
    claims.append(DraftedClaim(BEATS_SIMPLE, "prove", _beats_text(metric), f"better than {_named(text, product.task)}; {note}"))
    if not beats and trials:
        notes.append(
            f"on this history no model was clearly better than {_named(text, product.task)}: expect candidates that are withheld"
        )
    if limit := _limit(metric, [*trials, *others]):
        why = f"{metric} was {_range(metric, [*trials, *others])}"
        claims.append(DraftedClaim("floor" if binary else "ceiling", "prove", limit, why))
    if binary:
        claims.append(
            DraftedClaim("calibrated", "veto", "brier(candidate) < 1.1 * brier(champion)", "probabilities that got worse")
        )
        guards, left = threshold_guards(_compared(trials), product.gates.minimum)
        claims += guards
        notes += left
    if slices:
        loss = TASKS[product.task].tuned
        claims.append(
            DraftedClaim("slices", "veto", f"{loss}(candidate) < 1.3 * {loss}(champion)", "no level clearly worse", tuple(slices))
        )
    drop = 0.05 if binary else float(f"{0.2 * value:.2g}") if value else 1.0
    return Plan(first.unit, first.windows, first.minimum, text, tuple(claims), metric, value, drop, (*first.notes, *notes), beats)


def _margin(metric: str, trials: Sequence[DraftTrial], product: Product) -> tuple[str, str]:
    """The narrowest margin at which a candidate that is no different passes; the widest that is sensible where none does."""
    texts = (
        [f"roc_auc(candidate) - roc_auc(champion) > -{margin:g}" for margin in MARGINS]
        if metric == "roc_auc"
        else [f"{metric}(candidate) < {factor:g} * {metric}(champion)" for factor in FACTORS]
    )
    windows = _compared(trials)
    chances: dict[str, float] = {}
    for text in texts if windows else ():
        claim = ClaimSpec(name="not_worse", prove=text)
        tests = [power for window in windows for power in powers(claim, window, product.gates.minimum, {})]
        if not tests:
            break
        chances[text] = float(np.mean([test.passes(level(BUDGET)) for test in tests]))
        if chances[text] >= WANTED:
            return text, f"{NO_DIFFERENT} {chances[text]:.2f}, by {len(tests)} windows of this history"
    if chances:
        text, chance = list(chances.items())[-1]
        return text, f"{NO_DIFFERENT} {chance:.2f} only: longer windows (window.test) decide more"
    return texts[len(texts) // 2], "not tried: the history has no window for a champion"


def modest(plan: Plan, task: Task) -> Plan | None:
    """The plan with the mean label in the place of its simple model; None where it is that already."""
    if plan.baseline == MEAN:
        return None
    why = f"better than {_named(MEAN, task)}: a model of this history was not early better than {_named(plan.baseline, task)}"
    claims = tuple(replace(claim, why=why) if claim.name == BEATS_SIMPLE else claim for claim in plan.claims)
    return replace(plan, baseline=MEAN, claims=claims)


def _compared(trials: Sequence[DraftTrial]) -> list[Panel]:
    """The windows of the trials that had a champion."""
    return [trial.any for trial in trials if "champion" in trial.any.scores]


def _limit(metric: str, trials: Sequence[DraftTrial]) -> str:
    """A floor or a ceiling that a candidate like those of the trials passes."""
    is_higher = metric == "roc_auc"
    claim = ClaimSpec(name="limit", prove=f"{metric}(candidate) {'>' if is_higher else '<'} 0.5")
    tests = [trial.any.tested(claim.form.terms, constant=0.5, sign=claim.form.sign) for trial in trials]
    defined = [test for test in tests if test.is_defined]
    if not defined:
        return ""
    reach = [test.detectable(level(BUDGET)) for test in defined]
    if is_higher:
        floor = int(min(test.value - error for test, error in zip(defined, reach, strict=True)) / 0.05) * 0.05
        return f"roc_auc(candidate) > {floor:.2f}" if floor > 0.5 else ""
    worst = max(test.value + error for test, error in zip(defined, reach, strict=True))
    return f"{metric}(candidate) < {float(f'{1.1 * worst:.2g}'):g}"


def _range(metric: str, trials: Sequence[DraftTrial]) -> str:
    """The values of the metric in the trials."""
    values = [trial.any.metric(metric, "candidate").value for trial in trials]
    if len(values) == 1:
        return f"{values[0]:.3g} in the trial"
    return f"{min(values):.3g} to {max(values):.3g} in {len(values)} windows of this history"
