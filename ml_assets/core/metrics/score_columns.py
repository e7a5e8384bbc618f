"""Scores as arrays and as columns: one number a row or, of a label of several classes, one column for each class.

In arrays scores are (n,), or (n, classes) in the order of `features.classes`; in frames and in the prediction log a role's
columns are called as it is, or "role: class". `classes` is empty where a row has one score.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ml_assets.core.metrics.arrays import Floats, Ints

if TYPE_CHECKING:
    import polars as pl

Classes = Sequence[str]


def names(role: str, classes: Classes) -> list[str]:
    """The columns of a role's scores, in their order."""
    return [f"{role}: {name}" for name in classes] if classes else [role]


def as_columns(role: str, scores: Floats, classes: Classes) -> "list[pl.Series]":
    """The scores (n,) or (n, classes) of a role as columns."""
    import polars as pl

    if not classes:
        return [pl.Series(role, scores)]
    return [pl.Series(name, scores[:, number]) for number, name in enumerate(names(role, classes))]


def of_columns(frame: "pl.DataFrame", role: str, classes: Classes) -> Floats:
    """The scores of a role, as `as_columns` wrote them: (n,) or (n, classes)."""
    import polars as pl

    if not classes:
        return np.asarray(frame[role].cast(pl.Float64).to_numpy())
    return np.ascontiguousarray(frame.select(pl.col(names(role, classes)).cast(pl.Float64)).to_numpy())


def has(frame: "pl.DataFrame", role: str, classes: Classes) -> bool:
    """Whether the frame has all columns of a role's scores."""
    return set(names(role, classes)) <= set(frame.columns)


def likeliest(scores: Floats) -> Ints:
    """The number of the most probable class of each row (n,); of several that are equally probable, the first."""
    return np.asarray(scores.argmax(axis=1), dtype=np.int64)


def shown(scores: Floats, classes: Classes) -> "pl.Series":
    """One value a row, whose distribution tells how a model answers: the score or, of several classes, the most probable one."""
    import polars as pl

    if not classes:
        return pl.Series("score", scores)
    return pl.Series("score", np.asarray(classes, dtype=object)[likeliest(scores)].tolist(), dtype=pl.String)


def aligned(scores: Floats, *, own: Classes, wanted: Classes) -> Floats:
    """The scores (n, own classes) of a model that knows other classes, as (n, wanted classes): a class that it does not know has
    the probability 0, and one that is not wanted is left out."""
    if tuple(own) == tuple(wanted):
        return scores
    places = {name: number for number, name in enumerate(own)}
    columns = [scores[:, places[name]] if name in places else np.zeros(len(scores)) for name in wanted]
    return np.ascontiguousarray(np.column_stack(columns))
