"""Whether a release in the shadow, or a canary, did harm: its losses against the champion's, on the same requests. Pure.

Of a request that was asked for more than once the last answer counts. The loss is the squared error of a probability (Brier), or
the absolute error of a value. What one of the two could not score (NaN) counts as worse by the whole bound.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from ml_assets.core.metrics.confidence_sequences import Bounds, bounds, by_unit
from ml_assets.core.metrics.units import units
from ml_assets.spec.sections import ShadowSpec
from ml_assets.spec.tasks import Task

Verdict = Literal["harm", "good enough", "undecided"]


@dataclass(frozen=True)
class Judged:
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
    answered: pl.DataFrame, shadowed: pl.DataFrame, outcomes: pl.DataFrame, *, key: Sequence[str], champion: str
) -> pl.DataFrame:
    """Outcomes with both scores. Both logs have `id`, `at`, `release`, `score` and `request` (JSON): what was served, and what
    the other release, `champion` or candidate, would have served; `outcomes` has the key."""
    both = answered.join(shadowed.select("id", other="score", scorer="release"), on="id", how="inner")
    both = both.filter((pl.col("release") == champion) != (pl.col("scorer") == champion))
    if both.is_empty():
        empty = [pl.Series(name, [], dtype=pl.Float64) for name in _MODELS]
        return outcomes.clear().with_columns(empty)
    is_champion = pl.col("release") == champion
    scores = {
        "champion": pl.when(is_champion).then("score").otherwise("other"),
        "candidate": pl.when(is_champion).then("other").otherwise("score"),
    }
    named = [_as(outcomes.schema[name], pl.col("request").str.json_path_match(f"$.{name}")).alias(name) for name in key]
    scored = both.sort("at", "id").select(*named, **scores).unique(list(key), keep="last", maintain_order=True)
    return outcomes.join(scored, on=list(key), how="inner")


def judge(paired: pl.DataFrame, *, task: Task, label: str, time: str, terms: ShadowSpec) -> Judged:
    """The verdict on all pairs so far."""
    truth = pl.col(label).cast(pl.Float64)
    losses = {name: (pl.col(name) - truth) ** 2 if task == "binary" else (pl.col(name) - truth).abs() for name in _MODELS}
    labelled = paired.filter(pl.col(label).is_not_null())
    failed = pl.when(pl.col("candidate").is_nan()).then(terms.bound).when(pl.col("champion").is_nan()).then(-terms.bound)
    worse = failed.otherwise(losses["candidate"] - losses["champion"])
    differences = labelled.select(worse.alias("loss"))["loss"].to_numpy()
    values = by_unit(differences, units(labelled, unit=terms.unit, time=time))
    harm = bounds(values, bound=terms.bound, alpha=terms.alpha)
    verdict: Verdict = "undecided"
    if harm.lower > terms.max_harm:
        verdict = "harm"
    elif harm.upper < terms.max_harm:
        verdict = "good enough"
    return Judged(verdict, labelled.height, harm, terms.max_harm)


_MODELS = ("champion", "candidate")


def _as(kind: pl.DataType, logged: pl.Expr) -> pl.Expr:
    """A logged field as the outcomes' column; times are text in the log."""
    return logged.str.to_datetime().cast(kind) if isinstance(kind, pl.Datetime) else logged.cast(kind)
