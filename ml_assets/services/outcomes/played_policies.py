"""The stored past of a product through policies of retraining: models are fitted here, and nothing is recorded or charged."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Any

import numpy as np

from ml_assets.core.lineage.partitions import partitions_of
from ml_assets.core.lineage.reads import labelled_stage
from ml_assets.core.model.split import rows_of
from ml_assets.core.outcomes.maturity import is_matured
from ml_assets.core.outcomes.played_gates import PlayedGates, Release
from ml_assets.core.outcomes.policy_backtest import NO_ONE, Played, ReplayedPast, RetrainingPolicy, at_random, play
from ml_assets.errors import MlAssetsError
from ml_assets.services.outcomes.past_models import PastModels, past_models
from ml_assets.services.outcomes.past_windows import PastWindows
from ml_assets.spec.product import Product
from resources.ledger import recalls
from resources.lineage import Lineage

if TYPE_CHECKING:
    from ml_assets.core.metrics.arrays import Ints

SUBSAMPLE = 0.8
"""Share of the training rows that each replicate but the first is fitted on."""
LEAST = 2
"""Partitions that have to be served by a model, so that there is anything to choose."""
DAY = 24 * 60 * 60
Say = Callable[[str], None]


class NothingToPlay(MlAssetsError):
    """A product with too few stored partitions."""


@dataclass(frozen=True)
class PolicyReplicates:
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


def stored_partitions(lineage: Lineage, product: Product) -> PastWindows:
    """The rows of each partition that is stored and not recalled, in order, with the labels that are known."""
    stage, bad = labelled_stage(product), recalls.derived(lineage.ledger, product.name)
    current = (lineage.ledger.current(product.name, stage, key) for key in sorted(lineage.ledger.partitions(product.name, stage)))
    stored = [manifest for manifest in current if manifest is not None and manifest.id not in bad]
    rows = [rows_of(lineage.handle(manifest), product) for manifest in stored]
    features = [lineage.handle(manifest) for manifest in lineage.features_behind(stored)]
    return PastWindows(product, [manifest.partition for manifest in stored], rows, features)


def pasts(windows: PastWindows, alarmed: Collection[str], *, replicates: int, say: Say) -> list[ReplayedPast]:
    """Fit the model as of each partition on the window before it, once for each replicate, and measure it on all later ones.
    `alarmed`: partitions with an alarm of drift. Raises NothingToPlay."""
    product, keys, complete = windows.product, windows.keys, completed(windows.product, windows.keys)
    served = int((complete >= windows.first).sum()) - 1  # the first one is in before anything is served
    if served < LEAST:
        late = f", {product.labels.matures} after their end" if product.labels and product.labels.maturity else ""
        raise NothingToPlay(
            f"{product.name}: {len(keys)} partitions are stored, and a model could have served {max(served, 0)} of them; {LEAST} "
            f"are needed to play a policy. A model is trained on {product.window.minimum} (window.minimum) and tested on "
            f"{product.window.test} more (window.test), whose outcomes are complete{late}; `ml-assets run {product.name}` stores "
            f"what is delivered"
        )
    shares = [SUBSAMPLE if number else 1.0 for number in range(replicates)]
    replayed = [_past(models, complete, alarmed) for models in past_models(windows, shares, tell=say)]
    if short := [past for past in replayed if past.begin + LEAST > len(keys)]:
        raise NothingToPlay(f"{product.name}: no model could be trained as of {short[0].keys[windows.first]} or soon after it")
    return replayed


def completed(product: Product, keys: Sequence[str]) -> "Ints":
    """By partition (N,) the number of the newest one whose outcomes are complete when this one is in; NO_ONE where none are."""
    if product.partitions.is_static:
        return np.arange(len(keys))
    calendar, newest = partitions_of(product), []
    for place, key in enumerate(keys):
        now = calendar.window(key)[1].replace(tzinfo=UTC)
        done = [then for then in range(place + 1) if is_matured(product, keys[then], now)]
        newest.append(max(done, default=NO_ONE))
    return np.array(newest)


def _past(models: PastModels, complete: "Ints", alarmed: Collection[str]) -> ReplayedPast:
    windows = models.windows
    product, keys, budget = windows.product, windows.keys, windows.product.gates.budget
    shape = (windows.pooled, len(keys), len(keys))
    advantage, worth, promised = np.full(shape, np.nan), np.full(shape, np.nan), np.full(shape[:2], np.nan)
    for delay, model in np.ndindex(shape[:2]):
        release = Release(model, model + delay)
        if model not in models.seconds or release.at >= len(keys):
            continue
        promised[delay, model] = models.promised(release)
        for then in range(windows.tested(model).start if delay == 0 else release.at + 1, len(keys)):
            advantage[delay, model, then], worth[delay, model, then] = models.measured(release, then)
    test = 0 if product.partitions.is_static else product.window.test
    return ReplayedPast(
        keys=keys,
        advantage=advantage,
        promised=promised,
        worth=worth,
        seconds=np.array([models.seconds.get(now, 0.0) for now in range(len(keys))]),
        is_trained=np.array([now in models.seconds for now in range(len(keys))]),
        alarms=np.array([key in alarmed for key in keys]),
        days=np.array([_days(product, key) for key in keys]),
        complete=complete,
        gates=PlayedGates(models.judge, test, windows.pooled, budget.looks, budget.ships),
    )


def _days(product: Product, partition: str) -> float:
    """The days that a partition lasts; deliveries of a static table are counted."""
    if product.partitions.is_static:
        return 1.0
    begin, end = partitions_of(product).window(partition)
    return (end - begin).total_seconds() / DAY


def compared(
    policies: Sequence[RetrainingPolicy], replicates: Sequence[ReplayedPast], *, schedules: int, seed: int
) -> Iterator[PolicyReplicates]:
    """Each policy over all replicates, followed by random schedules with as many trainings, where there is something to draw."""
    random = np.random.default_rng(seed)
    for policy in policies:
        rows = [play(policy, past) for past in replicates]
        yield PolicyReplicates(policy.name, rows)
        name = f"random, as often as {policy.name}"
        drawn = [at_random(name, row, past, random) for row, past in zip(rows, replicates, strict=True) for _ in range(schedules)]
        if drawn and any(0 < row.trainings < len(past.possible) for row, past in zip(rows, replicates, strict=True)):
            yield PolicyReplicates(name, drawn)


def cells(played: PolicyReplicates, *, has_worth: bool) -> list[str]:
    """A policy as texts, in the order of `header`."""
    texts = [played.policy, *(_number(played.mean(name), 1) for name in ("trainings", "promoted"))]
    texts += [f"{played.mean('seconds'):.0f}", _number(played.mean("alarms"), 1)]
    texts += [f"{abs(played.mean('later')):.4f} ± {played.spread('later') / 2:.4f}", _number(played.mean("worse"), 0)]
    return [*texts, *([f"{played.mean('worth'):,.0f}"] if has_worth else [])]


def header(product: Product) -> list[str]:
    """The columns of the table."""
    unit = "deliveries" if product.partitions.is_static else "days"
    names = [
        "policy",
        "trainings",
        "promoted",
        "CPU s",
        "alarms",
        f"later {product.monitoring.metric}",
        f"{unit} by a worse model",
    ]
    return [*names, *(["value"] if product.monitoring.value else [])]


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}".rstrip("0").rstrip(".") if digits else f"{value:.0f}"


def as_json(played: PolicyReplicates) -> Mapping[str, Any]:
    """All replicates of a policy."""
    return {"policy": played.policy, "replicates": [vars(row) for row in played.rows]}
