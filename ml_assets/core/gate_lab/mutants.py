"""Sabotage with a known truth, and who caught it: mutation testing of gates.

Belongs here: spoiling scores and rows, and telling from verdicts what caught it. Does not: where models and rows come from.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import polars as pl
from scipy.special import expit, logit

from ml_assets.core.gates.claims import ClaimResult
from ml_assets.core.gates.verdict import Verdict
from ml_assets.core.metrics.arrays import Floats, Task

Fate: TypeAlias = Literal["caught", "let through", "within the margin", "no change", "not tried"]
MINIMUM = "minimum"
"""The claim that catches a window that holds too little to decide."""
_EDGE = 1e-9


@dataclass(frozen=True)
class Catch:
    """One gate that caught a mutant, and how it says so."""

    by: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """The fate of one mutant. `advice` says which gate would catch one that was let through."""

    mutant: str
    about: str
    fate: Fate
    catches: tuple[Catch, ...] = ()
    message: str = ""
    advice: str = ""
    seconds: float = 0.0

    @property
    def is_finding(self) -> bool:
        """Whether the gates let the mutant through, which they should not."""
        return self.fate == "let through"

    @property
    def reason(self) -> str:
        """The first line of why it was caught, or of what became of it instead."""
        return (self.catches[0].message if self.catches else self.message).splitlines()[0] if self.catches or self.message else ""

    def to_dict(self) -> dict[str, Any]:
        """Return the mutation as JSON values; the message is called `told` there."""
        return {
            "mutant": self.mutant,
            "about": self.about,
            "fate": self.fate,
            "caught_by": [{"gate": catch.by, "reason": catch.message} for catch in self.catches],
            "told": self.message,
            "advice": self.advice,
            "seconds": round(self.seconds, 2),
        }


def catches(verdict: Verdict, control: Verdict) -> tuple[Catch, ...]:
    """The claims that stop the mutant and do not stop the control: what stops everything tells nothing apart."""
    if verdict.is_accept:
        return ()
    if not verdict.claims:
        return (Catch(MINIMUM, "; ".join(verdict.reasons)),)
    sound = passed(control)
    stopped = [claim for claim in verdict.claims if claim.outcome != "PASS" and claim.name in sound]
    stopped.sort(key=lambda claim: claim.outcome != "FAIL")
    return tuple(Catch(claim.name, f"{claim.outcome}: {_claim_message(claim)}") for claim in stopped)


def _claim_message(claim: ClaimResult) -> str:
    """The claim's message; what is missing first, for the rest of it may be well."""
    if claim.missing and claim.outcome == "UNDECIDED":
        return f"{', '.join(claim.missing)} missing from the window"
    return claim.message


def passed(verdict: Verdict) -> frozenset[str]:
    """The names of the claims that passed."""
    return frozenset(claim.name for claim in verdict.claims if claim.outcome == "PASS")


def constant(labels: Floats, scores: Floats) -> Floats:
    """The same answer for every row of these scores: the mean label or, of several classes, the share of each."""
    if scores.ndim == 2:
        shares = np.bincount(labels.astype(np.int64), minlength=scores.shape[1]) / labels.size
        return np.tile(shares, (len(scores), 1))
    return np.full(scores.size, float(labels.mean()))


def in_words(constant_scores: Floats) -> str:
    """The one answer of `constant`."""
    return "/".join(f"{value:.3f}" for value in np.atleast_1d(constant_scores[0]))


def inverted(scores: Floats, *, task: Task) -> Floats:
    """High where it was low: the best model becomes the worst one."""
    if task == "multiclass":
        return np.asarray((1 - scores) / (scores.shape[1] - 1))
    return np.asarray(1 - scores if task == "binary" else 2 * scores.mean() - scores)


def misaligned(scores: Floats) -> Floats:
    """Each row has the score of another one: what a lost row order does."""
    return np.roll(scores, len(scores) // 3 + 1, axis=0)


def with_nan(scores: Floats) -> Floats:
    """One score in a hundred, and at least one, is not a number."""
    spoiled = scores.copy()
    spoiled[::100] = np.nan
    return spoiled


def shaken(scores: Floats, codes: np.ndarray, random: np.random.Generator, *, size: float, task: Task) -> Floats:
    """Scores shifted by `size`, up in some units and down in the others, so that whole units are good or bad together.

    Binary scores are shifted on their log-odds, those of the first of several classes too. `codes` is the unit of each row.
    """
    shift = size * random.choice([-1.0, 1.0], size=int(codes.max()) + 1)[codes]
    if task == "binary":
        return np.asarray(expit(logit(np.clip(scores, _EDGE, 1 - _EDGE)) + shift))
    if task == "multiclass":
        first = expit(logit(np.clip(scores[:, 0], _EDGE, 1 - _EDGE)) + shift)
        others = scores[:, 1:] * ((1 - first) / np.clip(scores[:, 1:].sum(axis=1), _EDGE, None))[:, None]
        return np.column_stack([first, others])
    return np.asarray(scores + shift)


def shuffled(frame: pl.DataFrame, *, label: str, seed: int) -> pl.DataFrame:
    """The rows with each other's labels."""
    return frame.with_columns(pl.col(label).shuffle(seed=seed))


def emptied(frame: pl.DataFrame, *, columns: Sequence[str]) -> pl.DataFrame:
    """The rows with nothing to learn in these columns: a number is missing, a text the same everywhere."""
    nothing = (pl.lit("lost") if frame.schema[c] == pl.String else pl.lit(None, dtype=pl.Float64) for c in columns)
    return frame.with_columns(value.alias(c) for c, value in zip(columns, nothing, strict=True))


def leaking(frame: pl.DataFrame, *, column: str, label: str, share: float, seed: int) -> pl.DataFrame:
    """The rows with a number that knows the outcome in a share of them: it is above all others where the label is above its
    mean, and below them where it is not."""
    knows = pl.Series(np.random.default_rng(seed).random(frame.height) < share)
    number, truth = pl.col(column).cast(pl.Float64), pl.col(label).cast(pl.Float64)
    telling = pl.when(truth > truth.mean()).then(number.max() + 1).otherwise(number.min() - 1)
    return frame.with_columns(pl.when(knows & pl.col(label).is_not_null()).then(telling).otherwise(number).alias(column))


def scaled(frame: pl.DataFrame, *, columns: Sequence[str], by: float) -> pl.DataFrame:
    """The rows with these numbers in other units."""
    return frame.with_columns(pl.col(c).cast(pl.Float64) * by for c in columns)


Score: TypeAlias = Callable[[Sequence[str]], Floats]
"""The scores with some features spoilt."""


def costliest(names: Sequence[str], score: Score, *, harm: Callable[[Floats], float]) -> list[str]:
    """The features in the order of what spoiling each one alone costs, the costliest first."""
    cost = {name: harm(score([name])) for name in names}
    return sorted(names, key=lambda name: -cost[name])


def until_it_hurts(
    ordered: Sequence[str], score: Score, *, harm: Callable[[Floats], float], clear: float
) -> tuple[list[str], Floats]:
    """The first features to spoil until the harm is clear, or half of them are spoilt; and the scores then."""
    spoilt, scores = list(ordered[:1]), score(ordered[:1])
    for most in range(2, len(ordered) // 2 + 2):
        if harm(scores) > clear:
            break
        spoilt, scores = list(ordered[:most]), score(ordered[:most])
    return spoilt, scores


def without_level(frame: pl.DataFrame, *, column: str, level: str) -> pl.DataFrame:
    """The rows without those of one level."""
    return frame.filter(pl.col(column).cast(pl.String) != level)


def without_numbers(verdict: Mapping[str, Any]) -> dict[str, Any]:
    """A recorded verdict that says ACCEPT while its numbers are not there, as a metric that is NaN is recorded."""
    numbers = ("estimate", "standard_error", "low", "high", "p")
    claims = [
        {**claim, "outcome": "PASS", **dict.fromkeys(numbers), "parts": [{**p, **dict.fromkeys(numbers)} for p in claim["parts"]]}
        for claim in verdict["claims"]
    ]
    return {**verdict, "decision": "ACCEPT", "reasons": [], "claims": claims}
