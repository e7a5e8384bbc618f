"""Windows of the history scored as the path would score them: a candidate, the champion before it, and simple models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from ml_assets.core.draft.window_sizes import WindowSizes
from ml_assets.core.gates.panel import Panel, panel
from ml_assets.core.metrics.units import units
from ml_assets.core.model.baseline import baseline_scores
from ml_assets.core.model.features import model_columns
from ml_assets.core.model.scoring import load_model, score_frame
from ml_assets.core.model.training import TrainingRefused, fit, labelled
from ml_assets.spec.baselines import SimpleModelSpec
from ml_assets.spec.product import Product

MOST_TRAINED = 1_000_000
"""Rows that all models of a search may be trained on together."""
LINEAR_COLUMNS, MOST_LINEAR_LEVELS, MOST_SQUARED = 8, 30, 1e100


@dataclass(frozen=True)
class DraftTrial:
    """One window: the rows' scores as a panel for each simple model, which is in the place of the baseline."""

    panels: Mapping[str, Panel]

    @property
    def any(self) -> Panel:
        """The panel of the first simple model."""
        return next(iter(self.panels.values()))


class Trials:
    """Trials of one product. `rows` are features with label and `partition`; each window is scored once."""

    def __init__(self, rows: pl.DataFrame, product: Product, *, slices: Sequence[str]) -> None:
        """`slices`: the columns whose levels a claim is made for."""
        self.product = product
        self.slices = slices
        self._known = labelled(rows, label=product.features.label)
        self._simple = _simple_models(product, rows)
        self._done: dict[tuple[int, bool], DraftTrial | None] = {}

    def ending(self, windows: WindowSizes, end: int, *, champion: bool = False) -> DraftTrial | None:
        """The window that ends with the `end`-th partition, with a champion on request; None where nothing can be told of it:
        too little to train on, one class."""
        key = (end, champion)
        if key not in self._done:
            self._done[key] = self._tried(*windows.ending(end), champion=champion)
        return self._done[key]

    def affordable(self, windows: WindowSizes) -> int:
        """The number of windows that may be tried: fewer of a large table, whose models take longer to train."""
        trained = self._known.height * min(1.0, windows.train / len(windows.keys))
        return int(MOST_TRAINED // max(trained, 1))

    def _tried(self, train: Sequence[str], before: Sequence[str], test: Sequence[str], *, champion: bool) -> DraftTrial | None:
        product, label = self.product, self.product.features.label
        tested = self._rows(test)
        if not train or tested.is_empty():
            return None
        try:
            scores = {"candidate": self._scores(train, tested)}
            if champion and before:
                scores["champion"] = self._scores(before, tested)
        except TrainingRefused:  # one class, or none: a window of the early history may be so
            return None
        y = tested[label].cast(pl.Float64)
        if product.task == "binary" and not 0 < y.sum() < len(y):
            return None
        unit = units(tested, unit=product.gates.unit, time=product.features.time)
        if unit.n_unique() < 2:
            return None
        columns, threshold = {n: tested[n] for n in self.slices}, product.decision.threshold if product.decision else None
        trained = self._rows(train)
        panels = {}
        for text, spec in self._simple.items():
            both = {**scores, "baseline": baseline_scores(spec, trained, tested, product=product)}
            panels[text] = panel(
                task=product.task,
                y=y,
                scores=both,
                unit=unit,
                columns=columns,
                threshold=threshold,
                classes=product.features.class_names,
            )
        return DraftTrial(panels)

    def _rows(self, partitions: Sequence[str]) -> pl.DataFrame:
        return self._known.filter(pl.col("partition").is_in(partitions))

    def _scores(self, train: Sequence[str], tested: pl.DataFrame) -> np.ndarray:
        fitted = fit(self._rows(train), product=self.product, columns=model_columns(self.product))
        return score_frame(load_model(fitted.content, task=self.product.task), tested, fitted.features)


def _simple_models(product: Product, rows: pl.DataFrame) -> dict[str, SimpleModelSpec]:
    """Simple models by their YAML: the mean, the last label of a group, a linear model."""
    columns = model_columns(product)
    models = {"{prior: true}": SimpleModelSpec(prior=True)}
    texts = [name for name in columns if rows.schema[name] == pl.String and rows[name].n_unique() <= rows.height / 20]
    if product.gates.unit in columns and rows.schema[product.gates.unit] == pl.String:
        texts = [product.gates.unit]
    for name in texts[:1] if product.task == "regression" and product.features.time else []:
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
