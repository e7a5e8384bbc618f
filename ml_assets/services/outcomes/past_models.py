"""The models that a past could have had: one as of each partition, its scores on its test window and on all later partitions, and
what the product's gates say of it. Nothing is recorded or charged."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import polars as pl

from ml_assets.core.lineage.verdict_facts import VerdictFacts
from ml_assets.core.outcomes.policy_backtest import Asked
from ml_assets.spec.product import Product

if TYPE_CHECKING:
    from ml_assets.core.metrics.arrays import Floats

ROW = "_row_of_window"


@dataclass(frozen=True)
class Windows:
    """The rows of each partition, in order, with the labels that are known of them, as a candidate trains and is tested on them.
    Of a static table each partition is the whole table, of which a candidate trains on some folds and is tested on another."""

    product: Product
    keys: Sequence[str]
    rows: Sequence[pl.DataFrame]

    @property
    def first(self) -> int:
        """The number of the first partition that a model can be as of."""
        window = self.product.window
        return 0 if self.product.partitions.is_static else window.minimum + window.test - 1

    def tested(self, now: int) -> range:
        """The partitions of the test window of the model as of a partition."""
        return range(now, now + 1) if self.product.partitions.is_static else range(now + 1 - self.product.window.test, now + 1)

    def trained_on(self, now: int) -> pl.DataFrame:
        """The rows that the model as of a partition trains on."""
        from ml_assets.core.model.split import trained_on

        if self.product.partitions.is_static:
            return trained_on(self.rows[now], self.product, partition=self.keys[now])
        end = self.tested(now).start
        return pl.concat(self.rows[max(0, end - self.product.window.train) : end])

    @cached_property
    def served(self) -> list[pl.DataFrame]:
        """The rows of each partition by which a model that serves is measured, with a known label or without."""
        from ml_assets.core.model.split import tested_on

        return [tested_on(rows, self.product, partition=key) for key, rows in zip(self.keys, self.rows, strict=True)]

    def before(self, now: int) -> pl.DataFrame:
        """The rows that say what is usual in the test window of the model as of a partition."""
        from ml_assets.core.model.split import trained_on

        if self.product.partitions.is_static:
            return trained_on(self.rows[now], self.product, partition=self.keys[now])
        end = self.tested(now).start
        return pl.concat(self.rows[max(0, end - self.product.window.test) : end])


@dataclass(frozen=True)
class PastModels:
    """`scores` by model and partition: (rows,) or, of several classes, (rows, classes), of `windows.served`; `seconds` of CPU by
    model, of which there is none where none could be trained."""

    windows: Windows
    scores: "Mapping[tuple[int, int], Floats]"
    seconds: Mapping[int, float]
    _known: dict[tuple[object, ...], VerdictFacts] = field(default_factory=dict)

    def judge(self, asked: Asked) -> VerdictFacts:
        """The verdict of the product's gates on a candidate beside the models that have the roles, by the code that judges
        candidates."""
        place = (asked.candidate, asked.champion, asked.anchor, *map(id, asked.before))
        if place not in self._known:
            self._known[place] = self._judged(asked)
        return self._known[place]

    def measured(self, model: int, partitions: Sequence[int]) -> tuple[float, float]:
        """The monitored metric of a model on the labelled rows of these partitions, signed so that greater is better, and what
        they are worth together; NaN where there is none."""
        from ml_assets.core.metrics.registry import metric_at

        product = self.windows.product
        rows, scores = self._labelled(model, partitions)
        threshold, worth = product.decision.threshold if product.decision else None, product.monitoring.value
        y = rows[product.features.label].cast(pl.Float64).to_numpy()
        if not y.size:
            return float("nan"), float("nan")
        metric = metric_at(product.monitoring.metric, threshold, worth, task=product.task)
        value = metric.value(y, scores, None)
        total = metric_at("value", threshold, worth, task=product.task).value(y, scores, None) * y.size if worth else float("nan")
        return metric.advantage(value, 0.0), total

    def promised(self, model: int) -> float:
        """The monitored metric of a model on its own test window; NaN of one that could not be trained."""
        return self.measured(model, self.windows.tested(model))[0] if model in self.seconds else float("nan")

    def _labelled(self, model: int, partitions: Sequence[int]) -> "tuple[pl.DataFrame, Floats]":
        rows = pl.concat([self.windows.served[n] for n in partitions])
        is_known = rows[self.windows.product.features.label].is_not_null()
        return rows.filter(is_known), np.concatenate([self.scores[model, n] for n in partitions])[is_known.to_numpy()]

    def _judged(self, asked: Asked) -> VerdictFacts:
        from ml_assets.core.evaluation.coverage import lacking
        from ml_assets.core.evaluation.snapshot import coarser_units, levels_of, panel_of
        from ml_assets.core.gates.history import MOST_WINDOWS, history
        from ml_assets.core.gates.too_good import earlier_gains
        from ml_assets.core.gates.verdict import judge
        from ml_assets.core.model.baseline import baseline_scores
        from ml_assets.core.model.seen_keys import unseen
        from ml_assets.core.model.training import labelled

        windows, product = self.windows, self.windows.product
        places, unit, label = windows.tested(asked.candidate), product.gates.unit, product.features.label
        trained, usual = windows.trained_on(asked.candidate), windows.before(asked.candidate)
        delivered = pl.concat([windows.served[n] for n in places]).with_row_index(ROW)
        window = unseen(delivered, trained, product=product)
        rows = labelled(window, label=label)
        if rows.is_empty():
            return VerdictFacts(decision="INCONCLUSIVE", reasons=("no outcome of the test window is known",))
        at = rows[ROW].to_numpy()
        roles = {"candidate": asked.candidate, "champion": asked.champion, "anchor": asked.anchor}
        scores = {role: np.concatenate([self.scores[model, n] for n in places])[at] for role, model in roles.items()}
        if spec := product.gates.baselines.baseline:
            scores["baseline"] = baseline_scores(spec, labelled(trained, label=label), rows, product=product)
        past = asked.before[-MOST_WINDOWS:]
        verdict = judge(
            product,
            panel_of(rows, scores, product=product),
            expected=levels_of(labelled(usual, label=label), product=product),
            doubt=lacking(window, usual, product=product),
            past=history(past, unit=unit),
            gains=earlier_gains(past, metric=product.gates.metric, unit=unit),
            coarser=coarser_units(rows, product),
        )
        return msgspec.convert(verdict.to_dict(), VerdictFacts)


def past_models(windows: Windows, *, seed: int, share: float, tell: Callable[[str], None]) -> PastModels:
    """Fit the model as of each partition, on a subsample of its training rows, and score its test window and all later
    partitions. `tell` hears how far it is."""
    from ml_assets.core.model.features import model_columns
    from ml_assets.core.model.scoring import load_model, score_frame
    from ml_assets.core.model.training import TrainingRefused, fit

    product = windows.product
    scores: dict[tuple[int, int], Floats] = {}
    seconds: dict[int, float] = {}
    for now in range(windows.first, len(windows.keys)):
        rows = windows.trained_on(now)
        if share < 1:
            rows = rows.sample(fraction=share, seed=seed, shuffle=False)
        begun = time.process_time()
        try:
            fitted = fit(rows, product=product, columns=model_columns(product), progress=None)
        except TrainingRefused as error:
            tell(f"no model as of {windows.keys[now]}: {error}")
            continue
        seconds[now] = time.process_time() - begun
        tell(f"model as of {windows.keys[now]}")
        model = load_model(fitted.content, task=product.task)
        for then in range(windows.tested(now).start, len(windows.keys)):
            scores[now, then] = score_frame(model, windows.served[then], list(fitted.features))
    return PastModels(windows, scores, seconds)
