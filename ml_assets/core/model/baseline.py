"""The simple model that a candidate has to beat: fitted on the candidate's training rows, and scored on the same test rows."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from ml_assets.core.metrics.arrays import Floats, Task
from ml_assets.errors import MlAssetsError
from ml_assets.spec.baselines import SimpleModelSpec
from ml_assets.spec.product import Product
from ml_assets.spec.yaml_file import unknown_name

RIDGE = 1e-3
"""The penalty per row, on columns of variance 1: columns that say the same twice share their weight."""
MOST_STEPS = 25
CLOSE_ENOUGH = 1e-8


class BaselineRefused(MlAssetsError):
    """The declared simple model cannot be made of these rows."""


def baseline_scores(spec: SimpleModelSpec, trained: pl.DataFrame, tested: pl.DataFrame, *, product: Product) -> Floats:
    """The score of each tested row (rows,), by a model of the labelled rows `trained`; the mean label where a value is missing or
    was never seen. Of several classes (rows, classes): each class against the rest, and together 1. Raises BaselineRefused."""
    label = product.features.label
    for name in spec.columns:
        if name not in trained.columns or name == label:
            allowed = unknown_name(name, allowed=[column for column in trained.columns if column != label])
            raise BaselineRefused(f"{product.name}: gates.baselines.baseline: '{name}' is not a feature; {allowed}")
    if product.features.classes:
        return _of_classes(spec, trained, tested, product=product)
    y = trained[label].cast(pl.Float64).to_numpy()
    if spec.column:
        return _column(spec.column, tested, prior=float(y.mean()), product=product)
    if spec.last_value:
        return _last_values(spec.last_value, trained, tested, product=product)
    if spec.linear:
        design = _Design.of(trained, spec.linear)
        return design.scores(tested, _fitted(design.matrix(trained), y, task=product.task), task=product.task)
    return np.full(tested.height, y.mean())


def _of_classes(spec: SimpleModelSpec, trained: pl.DataFrame, tested: pl.DataFrame, *, product: Product) -> Floats:
    """The scores of each class by the same simple model of whether a row is of it, divided by their sum: (rows, classes)."""
    label = product.features.label
    if spec.column:
        raise BaselineRefused(
            f"{product.name}: gates.baselines.baseline.column: one column is no probability of several classes; "
            f"`linear: [{spec.column}]` makes them of it"
        )
    one_class = product.model_copy(update={"task": "binary", "features": product.features.model_copy(update={"classes": ()})})
    scores = []
    for number in range(len(product.features.classes)):
        truths = trained.with_columns((pl.col(label) == number).cast(pl.Int64))
        is_known = bool(truths[label].sum())
        scores.append(baseline_scores(spec, truths, tested, product=one_class) if is_known else np.zeros(tested.height))
    together = np.column_stack(scores)
    return np.asarray(together / together.sum(axis=1, keepdims=True))


def _column(name: str, tested: pl.DataFrame, *, prior: float, product: Product) -> Floats:
    if not tested.schema[name].is_numeric():
        raise BaselineRefused(f"{product.name}: gates.baselines.baseline.column: '{name}' holds no numbers")
    values = tested[name].cast(pl.Float64).fill_nan(None).fill_null(prior).to_numpy()
    if product.task == "binary" and not ((values >= 0) & (values <= 1)).all():
        raise BaselineRefused(
            f"{product.name}: gates.baselines.baseline.column: '{name}' is not a probability (found {values.min():g} to "
            f"{values.max():g}, allowed: 0 to 1); `linear: [{name}]` makes one of it"
        )
    return np.asarray(values, dtype=np.float64)


def _last_values(columns: Sequence[str], trained: pl.DataFrame, tested: pl.DataFrame, *, product: Product) -> Floats:
    if not (time := product.features.time):
        raise BaselineRefused(f"{product.name}: gates.baselines.baseline: last_value needs features.time, and there is none")
    known, by, label = trained.sort(time, maintain_order=True), list(columns), product.features.label
    newest = known.group_by(by).agg(pl.col(label).cast(pl.Float64).last().alias("last value"))
    joined = tested.select(by).join(newest, on=by, how="left", nulls_equal=True, maintain_order="left")
    return joined["last value"].fill_null(known[label].cast(pl.Float64).mean()).to_numpy()


class _Design:
    """Columns as standardized numbers: texts as one column per level, what is missing at the mean."""

    def __init__(self, columns: Sequence[str], levels: dict[str, list[str]], mean: Floats, deviation: Floats) -> None:
        self.columns, self.levels, self.mean, self.deviation = columns, levels, mean, deviation

    @classmethod
    def of(cls, trained: pl.DataFrame, columns: Sequence[str]) -> "_Design":
        """The levels, means and deviations of these columns in the training rows."""
        texts = [name for name in columns if not trained.schema[name].is_numeric() and trained.schema[name] != pl.Boolean]
        levels = {name: trained[name].cast(pl.String).drop_nulls().unique().sort().to_list() for name in texts}
        raw = _raw(trained, columns, levels)
        filled = np.ma.masked_invalid(raw)
        deviation = np.asarray(filled.std(axis=0).filled(0.0))
        return cls(columns, levels, np.asarray(filled.mean(axis=0).filled(0.0)), np.where(deviation > 0, deviation, 1.0))

    def matrix(self, frame: pl.DataFrame) -> Floats:
        """(rows, 1 + columns), the first of them 1."""
        raw = _raw(frame, self.columns, self.levels)
        scaled = np.where(np.isfinite(raw), (raw - self.mean) / self.deviation, 0.0)
        return np.column_stack([np.ones(frame.height), scaled])

    def scores(self, frame: pl.DataFrame, weights: Floats, *, task: Task) -> Floats:
        """The scores (rows,) of weights (1 + columns,): probabilities for a binary task."""
        value: Floats = self.matrix(frame) @ weights
        return _logistic(value) if task == "binary" else value


def _raw(frame: pl.DataFrame, columns: Sequence[str], levels: dict[str, list[str]]) -> Floats:
    parts: list[pl.Series] = []
    for name in columns:
        if name in levels:
            text = frame[name].cast(pl.String)
            parts += [(text == level).fill_null(value=False).cast(pl.Float64) for level in levels[name]]
        else:
            parts.append(frame[name].cast(pl.Float64))
    return np.column_stack([part.to_numpy() for part in parts])


def _fitted(x: Floats, y: Floats, *, task: Task) -> Floats:
    """The weights of ridge regression; of logistic regression by Newton's method."""
    penalty = RIDGE * y.size * np.diag([0.0, *np.ones(x.shape[1] - 1)])
    if task == "regression":
        return np.asarray(np.linalg.solve(x.T @ x + penalty, x.T @ y), dtype=np.float64)
    weights = np.zeros(x.shape[1])
    for _ in range(MOST_STEPS):
        p = _logistic(x @ weights)
        curvature = (x * (p * (1 - p))[:, None]).T @ x + penalty
        step = np.linalg.solve(curvature, x.T @ (y - p) - penalty @ weights)
        weights = weights + step
        if np.abs(step).max() < CLOSE_ENOUGH:
            break
    return weights


def _logistic(value: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(value, -500, 500))))
