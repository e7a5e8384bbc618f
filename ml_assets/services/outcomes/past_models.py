"""The models that a past could have had: one as of each partition, its scores on its test window and on all later partitions, and
what the product's gates say of it. Nothing is recorded or charged."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import polars as pl

from ml_assets.core.lineage.verdict_facts import VerdictFacts
from ml_assets.core.outcomes.played_gates import GateQuestion, Release
from ml_assets.services.outcomes.past_windows import PastWindows

if TYPE_CHECKING:
    from ml_assets.core.metrics.arrays import Floats

ROW, PART = "_row_of_window", "_part_of_window"


@dataclass(frozen=True)
class PastModels:
    """`scores` by model and partition: (rows,) or, of several classes, (rows, classes), of `windows.served` by the features that
    are stored; `own` by release and partition where the release ships other SQL or lookups than those were made by. `seconds` of
    CPU by model, of which there is none where none could be trained."""

    windows: PastWindows
    scores: "Mapping[tuple[int, int], Floats]"
    seconds: Mapping[int, float]
    own: "Mapping[tuple[Release, int], Floats]" = field(default_factory=dict)
    _known: dict[tuple[object, ...], VerdictFacts] = field(default_factory=dict)

    def judge(self, question: GateQuestion) -> VerdictFacts:
        """The verdict of the product's gates on a candidate next to the releases that have the roles, by the code that judges
        candidates."""
        place = (question.candidate, question.at, question.champion, question.anchor, *map(id, question.before))
        if place not in self._known:
            self._known[place] = self._judged(question)
        return self._known[place]

    def measured(self, release: Release, then: int) -> tuple[float, float]:
        """The monitored metric of a release on the labelled rows of a partition that it serves, signed so that greater is better,
        and what they are worth together; NaN where there is none."""
        return self._measured([then], [self._served_scores(release, then)])

    def promised(self, release: Release) -> float:
        """The monitored metric of a model on the windows that let it through; NaN of one that could not be trained."""
        if release.model not in self.seconds:
            return float("nan")
        places = range(self.windows.tested(release.model).start, release.at + 1)
        return self._measured(places, [self.scores[release.model, then] for then in places])[0]

    def _served_scores(self, release: Release, then: int) -> "Floats":
        own = self.own.get((release, then))
        return self.scores[release.model, then] if own is None else own

    def _measured(self, places: Sequence[int], scores: "Sequence[Floats]") -> tuple[float, float]:
        from ml_assets.core.metrics.registry import metric_at

        product, label = self.windows.product, self.windows.product.features.label
        every = pl.concat([self.windows.served[n][label] for n in places])
        is_known = every.is_not_null()
        if not is_known.any():
            return float("nan"), float("nan")
        y, values = every.filter(is_known).cast(pl.Float64).to_numpy(), np.concatenate(scores)[is_known.to_numpy()]
        threshold, worth = product.decision.threshold if product.decision else None, product.monitoring.value
        metric = metric_at(product.monitoring.metric, threshold, worth, task=product.task)
        total = metric_at("value", threshold, worth, task=product.task).value(y, values, None) * y.size if worth else float("nan")
        return metric.advantage(metric.value(y, values, None), 0.0), total

    def _judged(self, question: GateQuestion) -> VerdictFacts:
        from ml_assets.core.evaluation.coverage import lacking
        from ml_assets.core.evaluation.snapshot import coarser_units, levels_of, panel_of
        from ml_assets.core.gates.history import MOST_WINDOWS, history
        from ml_assets.core.gates.too_good import earlier_gains
        from ml_assets.core.gates.verdict import judge
        from ml_assets.core.model.baseline import baseline_scores
        from ml_assets.core.model.seen_keys import unseen
        from ml_assets.core.model.training import labelled

        windows, product = self.windows, self.windows.product
        unit, label, parts = product.gates.unit, product.features.label, windows.tested_until(question.candidate, question.at)
        places = [place for part in parts for place in part]
        trained, usual = windows.trained_on(question.candidate), windows.before(question.candidate)
        numbered = [windows.served[n].with_columns(pl.lit(number).alias(PART)) for number, part in enumerate(parts) for n in part]
        window = unseen(pl.concat(numbered).with_row_index(ROW), trained, product=product)
        rows = labelled(window, label=label)
        if rows.is_empty():
            return VerdictFacts(decision="INCONCLUSIVE", reasons=("no outcome of the test window is known",))
        at = rows[ROW].to_numpy()
        by_role = {"candidate": [self.scores[question.candidate, n] for n in places]}
        roles = {"champion": question.champion, "anchor": question.anchor}
        by_role |= {role: [self._served_scores(who, n) for n in places] for role, who in roles.items() if who is not None}
        scores = {role: np.concatenate(values)[at] for role, values in by_role.items()}
        if spec := product.gates.baselines.baseline:
            scores["baseline"] = baseline_scores(spec, labelled(trained, label=label), rows, product=product)
        doubts = [lacking(part, usual, product=product) for part in window.partition_by(PART, maintain_order=True)]
        past = question.before[-MOST_WINDOWS:]
        verdict = judge(
            product,
            panel_of(rows, scores, product=product, windows=rows[PART].to_numpy() if question.is_kept else None),
            expected=levels_of(labelled(usual, label=label), product=product),
            doubt="; ".join(filter(None, doubts)),
            past=history(past, unit=unit),
            gains=earlier_gains(past, metric=product.gates.metric, unit=unit),
            coarser=coarser_units(rows, product),
        )
        return msgspec.convert(verdict.to_dict(), VerdictFacts)


@dataclass
class _Fitting:
    """One replicate on its way. `models`: of a model, the scores of rows."""

    windows: PastWindows
    share: float
    seed: int
    tell: Callable[[str], None]
    models: "dict[int, Callable[[pl.DataFrame], Floats]]" = field(default_factory=dict)
    scores: "dict[tuple[int, int], Floats]" = field(default_factory=dict)
    seconds: dict[int, float] = field(default_factory=dict)
    own: "dict[tuple[Release, int], Floats]" = field(default_factory=dict)

    def fit(self, now: int) -> None:
        """Fit the model as of a partition, if one can be trained."""
        from ml_assets.core.model.features import model_columns
        from ml_assets.core.model.scoring import load_model, score_frame
        from ml_assets.core.model.training import TrainingRefused, fit

        product, key, rows = self.windows.product, self.windows.keys[now], self.windows.trained_on(now)
        if self.share < 1:
            rows = rows.sample(fraction=self.share, seed=self.seed, shuffle=False)
        begun = time.process_time()
        try:
            fitted = fit(rows, product=product, columns=model_columns(product), progress=None)
        except TrainingRefused as error:
            self.tell(f"replicate {self.seed + 1}: no model as of {key}: {error}")
            return
        self.seconds[now] = time.process_time() - begun
        self.tell(f"replicate {self.seed + 1}: model as of {key}")
        model, features = load_model(fitted.content, task=product.task), list(fitted.features)
        self.models[now] = lambda frame: score_frame(model, frame, features)


def past_models(windows: PastWindows, shares: Sequence[float], *, tell: Callable[[str], None]) -> list[PastModels]:
    """One replicate for each of `shares` of the training rows: the model as of each partition, with the scores of its test window
    and of all later partitions. `tell` hears how far it is. Raises NotComputable."""
    replicates = [_Fitting(windows, share, seed, tell) for seed, share in enumerate(shares)]
    for now in range(windows.first, len(windows.keys)):
        for replicate in replicates:
            replicate.fit(now)
        for then in range(windows.tested(now).start, len(windows.keys)):
            _score(replicates, now, then)
    return [PastModels(windows, one.scores, one.seconds, one.own) for one in replicates]


def _score(replicates: Sequence[_Fitting], now: int, then: int) -> None:
    """The scores of a partition by the models as of another one, and by the releases that its window could let through."""
    windows = replicates[0].windows
    for one in replicates:
        if now in one.models:
            one.scores[now, then] = one.models[now](windows.served[then])
    if not windows.ships_others(now, then):
        return
    rows = windows.served_by(now, then)
    for one in replicates:
        for model in range(now + 1 - windows.pooled, now + 1):
            if model in one.models:
                one.own[Release(model, now), then] = one.models[model](rows)
