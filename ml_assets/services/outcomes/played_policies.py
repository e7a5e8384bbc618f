"""The stored past of a product through policies of retraining: models are fitted here, and nothing is recorded or charged."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from pydantic import Field

from ml_assets.core.lineage.reads import labelled_stage
from ml_assets.core.metrics.registry import metric_at
from ml_assets.core.outcomes.policy_backtest import Past, Played, Policy, PolicyRefused, Word, at_random, play
from ml_assets.errors import MlAssetsError
from ml_assets.spec.automation import LossSpec
from ml_assets.spec.base_section import Column, Section
from ml_assets.spec.product import Product
from ml_assets.spec.yaml_file import SpecFileProblems, read_model
from resources.ledger import recalls
from resources.lineage import Lineage

if TYPE_CHECKING:
    from ml_assets.core.metrics.arrays import Floats

SUBSAMPLE = 0.8
"""Share of the training rows that each replicate but the first is fitted on."""
LEAST = 3
"""Partitions besides `window.minimum` without which nothing can be played."""
Say = Callable[[str], None]


class NothingToPlay(MlAssetsError):
    """A product with too few stored partitions."""


@dataclass(frozen=True)
class Compared:
    """A policy over all replicates; `rows` are those of its replicates."""

    policy: str
    rows: Sequence[Played]

    def mean(self, name: str) -> float:
        """Of a number over the replicates."""
        return float(np.mean([getattr(row, name) for row in self.rows]))

    def spread(self, name: str) -> float:
        """From the least to the greatest of the replicates."""
        values = [getattr(row, name) for row in self.rows]
        return float(max(values) - min(values))


class PolicySpec(Section):
    """One policy of a file."""

    on: tuple[Word, ...] = Field(min_length=1)
    every: int = Field(default=1, ge=1)
    loss: LossSpec | None = None
    max_drop: float | None = Field(default=None, ge=0)
    cool_down: int = Field(default=0, ge=0)


class PolicyFile(Section):
    """What a file of policies may hold."""

    policies: dict[Column, PolicySpec] = Field(min_length=1)


def policies_of(file: Path, present: Policy) -> list[Policy]:
    """The product's present policy and those of a file: `policies: {name: {on: [drift], …}}`. Raises PolicyRefused."""
    try:
        named = read_model(file, PolicyFile).policies
    except SpecFileProblems as error:
        raise PolicyRefused("\n".join(map(str, error.problems))) from None
    return [present, *(_policy(name, spec, present) for name, spec in named.items())]


def present_policy(product: Product) -> Policy:
    """What the product's `retrain:` says, as far as partitions tell: a schedule by the clock and changes of code are left out."""
    words: dict[str, Word] = {"new_partition": "new_partition", "outcomes": "new_partition", "drift": "drift", "loss": "loss"}
    on = tuple(dict.fromkeys(words[word] for word in product.retrain.on if word in words)) or ("never",)
    loss = product.retrain.loss
    return Policy("present", on, fails=loss.fails, of=loss.of, max_drop=product.monitoring.max_drop)


def _policy(name: str, spec: PolicySpec, present: Policy) -> Policy:
    """A policy of a file; what it leaves out is as in the present one."""
    fails, of = (spec.loss.fails, spec.loss.of) if spec.loss else (present.fails, present.of)
    max_drop = present.max_drop if spec.max_drop is None else spec.max_drop
    return Policy(name, spec.on, spec.every, fails, of, max_drop, spec.cool_down)


def stored_partitions(lineage: Lineage, product: Product) -> list[tuple[str, pl.DataFrame]]:
    """The labelled rows of each partition that is stored and not recalled, in order."""
    stage, bad = labelled_stage(product), recalls.derived(lineage.ledger, product.name)
    stored = []
    for key in sorted(lineage.ledger.partitions(product.name, stage)):
        manifest = lineage.ledger.current(product.name, stage, key)
        if manifest is not None and manifest.id not in bad:
            stored.append((key, lineage.snapshots.frame(manifest.snapshot, "features.parquet")))
    return stored


def pasts(
    product: Product,
    partitions: Sequence[tuple[str, pl.DataFrame]],
    alarmed: Collection[str],
    *,
    replicates: int,
    say: Say,
) -> list[Past]:
    """Fit the model as of each partition on the window before it, once for each replicate, and measure it on all later ones.
    `alarmed`: partitions with an alarm of drift. Raises NothingToPlay."""
    labelled = [(key, frame.filter(pl.col(product.features.label).is_not_null())) for key, frame in partitions]
    minimum = product.window.minimum
    if len(labelled) < minimum + LEAST or any(frame.is_empty() for _, frame in labelled):
        needed = f"at least {minimum + LEAST} with outcomes are needed to play a policy"
        raise NothingToPlay(f"{product.name}: {len(labelled)} partitions are stored; {needed}")
    alarms = np.array([key in alarmed for key, _ in labelled])
    return [_past(product, labelled, alarms, replicate, say) for replicate in range(replicates)]


def _past(
    product: Product,
    labelled: Sequence[tuple[str, pl.DataFrame]],
    alarms: "np.ndarray[tuple[int], np.dtype[np.bool_]]",
    replicate: int,
    say: Say,
) -> Past:
    from ml_assets.core.model.features import model_columns
    from ml_assets.core.model.scoring import load_model, score_frame
    from ml_assets.core.model.training import fit

    count, columns, first = len(labelled), model_columns(product), product.window.minimum
    advantage, worth, seconds = np.full((count, count), np.nan), np.full((count, count), np.nan), np.zeros(count)
    for now in range(first, count):
        say(f"replicate {replicate + 1}: model as of {labelled[now][0]}")
        window = pl.concat([frame for _, frame in labelled[max(0, now - product.window.train) : now]])
        if replicate:
            window = window.sample(fraction=SUBSAMPLE, seed=replicate, shuffle=False)
        begun = time.process_time()
        fitted = fit(window, product=product, columns=columns, progress=None)
        seconds[now] = time.process_time() - begun
        model = load_model(fitted.content, task=product.task)
        for then in range(now, count):
            frame = labelled[then][1]
            scores = score_frame(model, frame, list(fitted.features))
            advantage[now, then], worth[now, then] = _measured(product, frame, scores)
    return Past([key for key, _ in labelled], advantage, worth, alarms, seconds, first)


def _measured(product: Product, frame: pl.DataFrame, scores: "Floats") -> tuple[float, float]:
    """The monitored metric, signed so that greater is better, and what all rows are worth together; NaN without a worth."""
    threshold = product.decision.threshold if product.decision else None
    y, value = frame[product.features.label].cast(pl.Float64).to_numpy(), product.monitoring.value
    metric = metric_at(product.monitoring.metric, threshold, value, task=product.task)
    measured = metric.value(y, scores, None)
    total = metric_at("value", threshold, value, task=product.task).value(y, scores, None) * y.size if value else float("nan")
    return metric.advantage(measured, 0.0), total


def compared(policies: Sequence[Policy], replicates: Sequence[Past], *, schedules: int, seed: int) -> Iterator[Compared]:
    """Each policy over all replicates, followed by random schedules with as many trainings as the last one had."""
    random = np.random.default_rng(seed)
    for policy in policies:
        rows = [play(policy, past) for past in replicates]
        yield Compared(policy.name, rows)
        drawn = []
        for row, past in zip(rows, replicates, strict=True):
            drawn += [at_random(f"random, as often as {policy.name}", row.trainings, past, random) for _ in range(schedules)]
        if drawn and any(row.trainings for row in rows):
            yield Compared(f"random, as often as {policy.name}", drawn)


def cells(played: Compared, *, has_worth: bool) -> list[str]:
    """A policy as texts, in the order of `header`."""
    texts = [played.policy, _number(played.mean("trainings"), 1), f"{played.mean('seconds'):.0f}"]
    texts.append(_number(played.mean("alarms"), 1))
    texts += [f"{abs(played.mean('later')):.4f} ± {played.spread('later') / 2:.4f}", _number(played.mean("worse"), 1)]
    return [*texts, *([f"{played.mean('worth'):,.0f}"] if has_worth else [])]


def header(metric: str, *, has_worth: bool) -> list[str]:
    """The columns of the table."""
    names = ["policy", "trainings", "CPU s", "alarms", f"later {metric}", "partitions by a worse model"]
    return [*names, *(["value"] if has_worth else [])]


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}".rstrip("0").rstrip(".") if digits else f"{value:.0f}"


def as_json(played: Compared) -> Mapping[str, Any]:
    """All replicates of a policy."""
    return {"policy": played.policy, "replicates": [vars(row) for row in played.rows]}
