"""Whether a release in the shadow, or a canary, did harm: its losses against the champion's, on the same requests. Pure.

Of a request that was asked for more than once the last answer counts. The loss is the squared error of a probability (Brier), of
several classes the sum of those of each, or the absolute error of a value. What one of the two could not score (NaN) counts as
worse by the whole bound.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from ml_assets.core.metrics.confidence_sequences import Bounds, bounds, by_unit
from ml_assets.core.metrics.score_columns import Classes, names
from ml_assets.core.metrics.units import units
from ml_assets.spec.sections import ShadowSpec
from ml_assets.spec.tasks import Task

Verdict = Literal["harm", "good enough", "undecided"]


@dataclass(frozen=True)
class HarmVerdict:
    """The present verdict, and the number of requests with an outcome that it rests on."""

    verdict: Verdict
    rows: int
    bounds: Bounds
    max_harm: float

    @property
    def evidence(self) -> dict[str, Any]:
        """As the ledger keeps it."""
        return {"verdict": self.verdict, "rows": self.rows, "max_harm": self.max_harm, **vars(self.bounds)}

    @property
    def sentence(self) -> str:
        """In words."""
        bounds = self.bounds
        return (
            f"{self.verdict}: its loss is {bounds.mean:+.4g} against the champion's, between {bounds.lower:.4g} and "
            f"{bounds.upper:.4g}; allowed is {self.max_harm:g} ({bounds.units} units, {self.rows} requests with an outcome)"
        )


def pairs(
    answered: pl.DataFrame,
    shadowed: pl.DataFrame,
    outcomes: pl.DataFrame,
    *,
    key: Sequence[str],
    champion: str,
    classes: Classes = (),
) -> pl.DataFrame:
    """Outcomes with both scores. Both logs have `id`, `at`, `release`, `score` (one for each of the `classes`, where there are
    some) and `request` (JSON): what was served, and what the other release, `champion` or candidate, would have served;
    `outcomes` has the key."""
    columns = names("score", classes)
    others = [pl.col(column).alias(f"other {column}") for column in columns]
    beside = _with(shadowed, columns).select("id", *others, scorer="release")
    both = _with(answered, columns).join(beside, on="id", how="inner")
    both = both.filter((pl.col("release") == champion) != (pl.col("scorer") == champion))
    if both.is_empty():
        empty = [pl.Series(name, [], dtype=pl.Float64) for model in _MODELS for name in names(model, classes)]
        return outcomes.clear().with_columns(empty)
    is_champion, scores = pl.col("release") == champion, dict[str, pl.Expr]()
    for column, first, second in zip(columns, *(names(model, classes) for model in _MODELS), strict=True):
        scores[first] = pl.when(is_champion).then(column).otherwise(f"other {column}")
        scores[second] = pl.when(is_champion).then(f"other {column}").otherwise(column)
    named = [_as(outcomes.schema[name], pl.col("request").str.json_path_match(f"$.{name}")).alias(name) for name in key]
    each_score = [score.alias(name) for name, score in scores.items()]
    scored = both.sort("at", "id").select(*named, *each_score).unique(list(key), keep="last", maintain_order=True)
    return outcomes.join(scored, on=list(key), how="inner")


def judge(paired: pl.DataFrame, *, task: Task, label: str, time: str, terms: ShadowSpec, classes: Classes = ()) -> HarmVerdict:
    """The verdict on all pairs so far. A label of several `classes` is the number of one."""
    truth = pl.col(label).cast(pl.Float64)
    losses = {name: _loss(name, truth, task, classes) for name in _MODELS}
    labelled = paired.filter(pl.col(label).is_not_null())
    candidate_failed, champion_failed = (_has_failed(name, classes) for name in ("candidate", "champion"))
    failed = pl.when(candidate_failed).then(terms.bound).when(champion_failed).then(-terms.bound)
    worse = failed.otherwise(losses["candidate"] - losses["champion"])
    differences = labelled.select(worse.alias("loss"))["loss"].to_numpy()
    values = by_unit(differences, units(labelled, unit=terms.unit, time=time))
    harm = bounds(values, bound=terms.bound, alpha=terms.alpha)
    verdict: Verdict = "undecided"
    if harm.lower > terms.max_harm:
        verdict = "harm"
    elif harm.upper < terms.max_harm:
        verdict = "good enough"
    return HarmVerdict(verdict, labelled.height, harm, terms.max_harm)


_MODELS = ("champion", "candidate")


def _loss(model: str, truth: pl.Expr, task: Task, classes: Classes) -> pl.Expr:
    """The loss of each row. A class that a release does not know has the probability 0."""
    if classes:
        scores = (pl.col(name).fill_null(0.0) for name in names(model, classes))
        return pl.sum_horizontal((score - (truth == number).cast(pl.Float64)) ** 2 for number, score in enumerate(scores))
    miss = pl.col(model) - truth
    return miss**2 if task == "binary" else miss.abs()


def _has_failed(model: str, classes: Classes) -> pl.Expr:
    """Whether a release could not score a row."""
    if not classes:
        return pl.col(model).is_nan()
    return pl.all_horizontal(pl.col(name).is_null() | pl.col(name).is_nan() for name in names(model, classes))


def _with(log: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """The log with a column for each score: none of a class that no release in it knows."""
    return log.with_columns(pl.lit(None, dtype=pl.Float64).alias(name) for name in columns if name not in log.columns)


def _as(kind: pl.DataType, logged: pl.Expr) -> pl.Expr:
    """A logged field as the outcomes' column; times are text in the log."""
    return logged.str.to_datetime().cast(kind) if isinstance(kind, pl.Datetime) else logged.cast(kind)
