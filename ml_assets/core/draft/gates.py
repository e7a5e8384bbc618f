"""Gates that this amount of data can decide: tried on windows of the history, by the code that judges.

A candidate and a champion are trained as they would have been, and scored on the windows after. From the error of each comparison
follows the margin at which a candidate that is no different passes, and which simple model is clearly beaten.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from ml_assets.core.draft.threshold_guards import BUDGET, NO_DIFFERENT, WANTED, DraftedClaim, threshold_guards
from ml_assets.core.draft.window_sizes import Windows
from ml_assets.core.gate_lab.power import powers
from ml_assets.core.gates.levels import level
from ml_assets.core.gates.panel import Panel, panel
from ml_assets.core.metrics.units import units
from ml_assets.core.model.baseline import baseline_scores
from ml_assets.core.model.features import model_columns
from ml_assets.core.model.scoring import load_model, score_frame
from ml_assets.core.model.training import TrainingRefused, fit, labelled
from ml_assets.spec.baselines import SimpleModelSpec
from ml_assets.spec.gates import ClaimSpec, MinimumSpec
from ml_assets.spec.product import Product
from ml_assets.spec.tasks import TASKS, Task

MOST_TRIALS = 2
MARGINS = (0.01, 0.02, 0.03, 0.05, 0.08, 0.1, 0.15)
FACTORS = (1.02, 1.05, 1.1, 1.15, 1.2, 1.3, 1.5)
LINEAR_COLUMNS, MOST_LINEAR_LEVELS, MOST_SQUARED = 8, 30, 1e100


@dataclass(frozen=True)
class Plan:
    """The `gates` block, and what it is built on. `baseline` is a simple model as YAML; `value` the metric in the trial."""

    unit: str
    windows: Windows
    minimum: MinimumSpec
    baseline: str
    claims: tuple[DraftedClaim, ...]
    metric: str
    value: float | None = None
    max_drop: float = 0.05
    notes: tuple[str, ...] = ()


def first_plan(task: Task, unit: str, windows: Windows, minimum: MinimumSpec) -> Plan:
    """A plan of which nothing is tried yet: what the product is loaded with for the trial."""
    metric = TASKS[task].harm
    text = "roc_auc(candidate) > 0.5" if task == "binary" else f"{metric}(candidate) - {metric}(baseline) < 0"
    return Plan(unit, windows, minimum, "{prior: true}", (DraftedClaim("first", "prove", text, ""),), metric)


def tried_plan(first: Plan, rows: pl.DataFrame, product: Product, *, slices: Sequence[str], say: Callable[[str], None]) -> Plan:
    """The plan after its trials. `rows` are features with label and `partition`; `product` is drafted with the first plan."""
    metric = first.metric
    trials = [
        trial
        for number in range(MOST_TRIALS)
        if (trial := _trial(first, rows, product, number, slices=slices, say=say)) is not None
    ]
    if not trials:
        note = "no window of the history could be tried: the gates are drafted without knowing what they can decide"
        return _plan(first, product, None, [], slices=slices, notes=[note])
    simple, better = _simple_model(trials, metric)
    return _plan(first, product, (simple, better), trials, slices=slices, notes=[])


@dataclass(frozen=True)
class _Trial:
    """One window: the rows' scores as a panel for each simple model."""

    panels: Mapping[str, Panel]

    @property
    def any(self) -> Panel:
        return next(iter(self.panels.values()))


def _trial(
    plan: Plan, rows: pl.DataFrame, product: Product, number: int, *, slices: Sequence[str], say: Callable[[str], None]
) -> _Trial | None:
    train, before, test = plan.windows.trial(number)
    if not train:
        return None
    label = product.features.label
    known = labelled(rows, label=label)
    tested = known.filter(pl.col("partition").is_in(test))
    say(f"trying gates on {test[0]} to {test[-1]}" if len(test) > 1 else f"trying gates on {test[0]}")
    try:
        scores = {"candidate": _scores(known, train, tested, product)}
        if before:
            scores["champion"] = _scores(known, before, tested, product)
    except TrainingRefused:  # one class, or none: a window of the early history may be so
        return None
    y = tested[label].cast(pl.Float64)
    if product.task == "binary" and not 0 < y.sum() < len(y):
        return None
    trained = known.filter(pl.col("partition").is_in(train))
    unit = units(tested, unit=product.gates.unit, time=product.features.time)
    if unit.n_unique() < 2:
        return None
    columns, threshold = {name: tested[name] for name in slices}, product.decision.threshold if product.decision else None
    simple = {
        text: baseline_scores(spec, trained, tested, product=product) for text, spec in _simple_models(product, rows).items()
    }
    return _Trial(
        {
            text: panel(task=product.task, y=y, scores={**scores, "baseline": s}, unit=unit, columns=columns, threshold=threshold)
            for text, s in simple.items()
        }
    )


def _scores(known: pl.DataFrame, train: Sequence[str], tested: pl.DataFrame, product: Product) -> np.ndarray:
    chosen = known.filter(pl.col("partition").is_in(train))
    fitted = fit(chosen, product=product, columns=model_columns(product))
    return score_frame(load_model(fitted.content, task=product.task), tested, fitted.features)


def _simple_models(product: Product, rows: pl.DataFrame) -> dict[str, SimpleModelSpec]:
    """Simple models by their YAML: the mean, the last label of a group, a linear model."""
    columns = model_columns(product)
    models = {"{prior: true}": SimpleModelSpec(prior=True)}
    texts = [name for name in columns if rows.schema[name] == pl.String and rows[name].n_unique() <= rows.height / 20]
    if product.gates.unit in columns and rows.schema[product.gates.unit] == pl.String:
        texts = [product.gates.unit]
    for name in texts[:1] if product.task == "regression" else []:
        models[f"{{last_value: [{name}]}}"] = SimpleModelSpec(last_value=(name,))
    plain = [name for name in columns if _is_plain(rows[name])]
    if linear := tuple(plain[:LINEAR_COLUMNS]):
        models[f"{{linear: [{', '.join(linear)}]}}"] = SimpleModelSpec(linear=linear)
    return models


def _is_plain(values: pl.Series) -> bool:
    """Whether a linear model can take the column: numbers whose squares are numbers, or texts with few levels."""
    if values.dtype.is_numeric():
        return float(values.cast(pl.Float64).abs().quantile(1.0) or 0.0) < MOST_SQUARED
    return values.n_unique() <= MOST_LINEAR_LEVELS


def _simple_model(trials: Sequence[_Trial], metric: str) -> tuple[str, bool]:
    """The best simple model that the candidate clearly beat in every trial; else the mean, and whether that was beaten."""
    sign = 1 if metric == "roc_auc" else -1
    quality = {
        text: sign * np.mean([t.panels[text].metric(metric, "baseline").value for t in trials]) for text in trials[0].panels
    }
    for text in sorted(quality, key=lambda metric_text: -quality[metric_text]):
        if all(_beats(trial.panels[text], metric) for trial in trials):
            return text, True
    return "{prior: true}", False


def _beats(window: Panel, metric: str) -> bool:
    """Whether a candidate like this one passes in four of five windows."""
    claim = ClaimSpec(name="beats", prove=_beats_text(metric))
    test = window.tested(claim.form.terms, constant=claim.form.constant, sign=claim.form.sign)
    return test.is_defined and test.advantage >= test.detectable(level(BUDGET))


def _named(simple: str) -> str:
    """A simple model in words."""
    kind, _, columns = simple.strip("{}").partition(": ")
    of = columns.strip("[]")
    return {"prior": "the mean label", "last_value": f"the last label with the same {of}"}.get(kind, f"a linear model of {of}")


def _beats_text(metric: str) -> str:
    return f"{metric}(candidate) - {metric}(baseline) {'>' if metric == 'roc_auc' else '<'} 0"


def _plan(
    first: Plan,
    product: Product,
    simple: tuple[str, bool] | None,
    trials: Sequence[_Trial],
    *,
    slices: Sequence[str],
    notes: list[str],
) -> Plan:
    metric, binary = first.metric, product.task == "binary"
    text, beats = simple or ("{prior: true}", False)
    value = float(np.mean([t.any.metric(metric, "candidate").value for t in trials])) if trials else None
    margin, why = _margin(metric, trials, product)
    claims = [DraftedClaim("not_worse", "prove", margin, why)]
    note = "the trial shows it" if beats else "the trial did not show it: expect INCONCLUSIVE until features or history are added"
    claims.append(DraftedClaim("beats_simple", "prove", _beats_text(metric), f"better than {_named(text)}; {note}"))
    if not beats and trials:
        notes.append(f"on this history no model was clearly better than {_named(text)}; a candidate is withheld until one is")
    limit = _limit(metric, trials)
    if limit:
        claims.append(DraftedClaim("floor" if binary else "ceiling", "prove", limit, f"{metric} was {value:.3g} in the trial"))
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
    return Plan(first.unit, first.windows, first.minimum, text, tuple(claims), metric, value, drop, tuple(notes))


def _margin(metric: str, trials: Sequence[_Trial], product: Product) -> tuple[str, str]:
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


def _compared(trials: Sequence[_Trial]) -> list[Panel]:
    """The windows of the trials that had a champion."""
    return [trial.any for trial in trials if "champion" in trial.any.scores]


def _limit(metric: str, trials: Sequence[_Trial]) -> str:
    """A floor or a ceiling that a candidate like that of the trial passes."""
    errors: list[float] = []
    for trial in trials:
        text = f"{metric}(candidate) {'>' if metric == 'roc_auc' else '<'} 0.5"
        claim = ClaimSpec(name="limit", prove=text)
        test = trial.any.tested(claim.form.terms, constant=0.5, sign=claim.form.sign)
        if not test.is_defined:
            return ""
        errors.append(
            test.value - test.detectable(level(BUDGET)) if metric == "roc_auc" else test.value + test.detectable(level(BUDGET))
        )
    if not errors:
        return ""
    if metric == "roc_auc":
        floor = int(min(errors) / 0.05) * 0.05
        return f"roc_auc(candidate) > {floor:.2f}" if floor > 0.5 else ""
    return f"{metric}(candidate) < {float(f'{1.1 * max(errors):.2g}'):g}"
