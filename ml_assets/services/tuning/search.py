"""The search itself: Optuna over the declared space, on the windows to search on, and the comparison on those held apart."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from ml_assets.core.digests import digest_json
from ml_assets.core.evaluation.snapshot import measured
from ml_assets.core.lineage.stages import closure
from ml_assets.core.metrics.intervals import Estimate
from ml_assets.core.metrics.metric import Metric
from ml_assets.core.metrics.registry import of_task
from ml_assets.core.model.training import TrainingRefused
from ml_assets.core.tuning.declaration_patch import unified, with_parameters
from ml_assets.core.tuning.parameters import assignments, at_edge, in_words, rounded
from ml_assets.errors import MlAssetsError
from ml_assets.services.tuning.windows import SearchWindow, SearchWindows
from ml_assets.spec.key_assignments import with_values
from ml_assets.spec.product import Product
from ml_assets.spec.product_files import SPEC_FILE
from ml_assets.spec.tasks import TASKS
from ml_assets.spec.tuning import SearchSpec
from resources.git_trees import GitRefused, Repository
from resources.lineage import Lineage
from resources.stopwatch import Stopwatch

if TYPE_CHECKING:
    from optuna import Study, Trial

"""The metric that is searched by where the product's first one needs more than a score: a decision, or what it is worth."""
WARM_UP = 5
"""Trials before one is cut short for being worse than half of the others so far."""
Say = Callable[[str], None]


class NothingTried(MlAssetsError):
    """No trial could be trained and scored."""


@dataclass(frozen=True)
class TunedTrial:
    """A trial: its value of the metric, NaN where it was cut short or refused (`why`)."""

    number: int
    parameters: Mapping[str, Any]
    value: float
    why: str = ""


@dataclass(frozen=True)
class Tuned:
    """The result of a search. `declared` and `value`: the metric on the windows searched on, as declared and of the best trial;
    `difference`: of the best and the declared parameters on the windows held apart. `patch`, whose paths begin at `root`, is
    empty unless it is better there beyond noise."""

    product: str
    metric: str
    searched: tuple[str, ...]
    held_apart: tuple[str, ...]
    declared: float
    value: float
    parameters: Mapping[str, Any]
    difference: Estimate
    is_better: bool
    level: float
    at_edge: tuple[str, ...]
    trials: tuple[TunedTrial, ...]
    cpu_seconds: float
    root: Path
    patch: str = ""

    @property
    def best(self) -> str:
        """The best parameters in words."""
        return in_words(self.parameters)

    @property
    def sentence(self) -> str:
        """The outcome in words."""
        estimate, where = self.difference, ", ".join(self.held_apart)
        change = f"{self.metric} {estimate.value:+.4f} ({estimate.low:+.4f} to {estimate.high:+.4f}, {self.level:.0%})"
        if not math.isfinite(estimate.low):
            return f"undecided: {self.metric} on {where} has no interval{': ' if estimate.note else ''}{estimate.note}"
        if self.is_better:
            return f"better than what is declared beyond noise: {change} on {where}, which the search has not seen"
        return f"not better than what is declared beyond noise: {change} on {where}, which the search has not seen"


@dataclass
class Search:
    """A search of one product's parameters. `folder` keeps the trials, so that the same search goes on where it was stopped."""

    lineage: Lineage
    product: Product
    folder: Path
    say: Say
    metric: Metric = field(init=False)

    def __post_init__(self) -> None:
        """Choose the metric."""
        metrics = of_task(self.product.task)
        metric = metrics.get(self.product.gates.metric)
        is_usable = metric is not None and metric.influence is not None and metric.best in ("greatest", "least")
        self.metric = metric if metric and is_usable else metrics[TASKS[self.product.task].tuned]

    def run(self) -> Tuned:
        """Search, compare, and give the result. Raises TooFewWindows, InputStale, NothingTried, and ProductError where the space
        holds what product.yaml could not."""
        product, spec, clock = self.product, self.product.tune, Stopwatch()
        windows = SearchWindows.of(self.lineage, product)
        searched, apart = ([window.partition for window in part] for part in (windows.searched, windows.held_apart))
        self.say(
            f"{product.name}: {spec.trials} trials by {self.metric.name} on {', '.join(searched)}; "
            f"held apart until the end: {', '.join(apart)}"
        )
        declared = self._value(windows.searched, product)
        self.say(f"as declared  {declared:.4f}")
        study = self._study(windows.searched)
        self._search(study, windows.searched)
        done = [_tried(trial) for trial in study.get_trials(deepcopy=False)]
        if all(math.isnan(trial.value) for trial in done):
            why = done[-1].why if done else "there was no time for one"
            raise NothingTried(f"{product.name}: none of {len(done)} trials could be scored: {why}")
        best = _tried(study.best_trial)
        difference, is_better = self._compared(windows.held_apart, best.parameters)
        return Tuned(
            product=product.name,
            metric=self.metric.name,
            searched=tuple(searched),
            held_apart=tuple(apart),
            declared=declared,
            value=best.value,
            parameters=best.parameters,
            difference=difference,
            is_better=is_better,
            level=product.evaluation.interval,
            at_edge=tuple(at_edge(spec.space, best.parameters)),
            trials=tuple(done),
            cpu_seconds=clock.seconds()["cpu"],
            root=_root(product),
            patch=self._patch(best.parameters) if is_better else "",
        )

    def _search(self, study: "Study", windows: Sequence[SearchWindow]) -> None:
        import optuna

        spec = self.product.tune
        left = spec.trials - sum(trial.state.is_finished() for trial in study.get_trials(deepcopy=False))
        if left < spec.trials:
            self.say(f"{spec.trials - left} trials were made before")

        def objective(trial: "Trial") -> float:
            parameters = {name: _suggested(trial, name, search) for name, search in spec.space.items()}
            trial.set_user_attr("parameters", parameters)
            product, values = with_values(self.product, assignments(parameters)), []
            for number, window in enumerate(windows):
                try:
                    values.append(self._value([window], product))
                except TrainingRefused as error:
                    trial.set_user_attr("why", str(error))
                    raise optuna.TrialPruned from error
                trial.report(float(np.mean(values)), number)
                if number + 1 < len(windows) and trial.should_prune():
                    trial.set_user_attr("why", f"cut short after {number + 1} of {len(windows)} windows")
                    raise optuna.TrialPruned
            return float(np.mean(values))

        def shown(study: "Study", trial: Any) -> None:
            tried = _tried(trial)
            is_best = not math.isnan(tried.value) and study.best_trial.number == tried.number
            value = tried.why if math.isnan(tried.value) else f"{tried.value:.4f}{' (best so far)' if is_best else ''}"
            self.say(f"{tried.number + 1:>4}/{spec.trials}  {value}  {in_words(tried.parameters)}")

        if left > 0:
            study.optimize(objective, n_trials=left, timeout=spec.minutes * 60 if spec.minutes else None, callbacks=[shown])

    def _value(self, windows: Sequence[SearchWindow], product: Product) -> float:
        """The mean over windows of the metric, which each window has the same say in."""
        label = product.features.label
        values = [self.metric.value(_numbers(window.rows, label), window.scores(product), None) for window in windows]
        if any(math.isnan(value) for value in values):
            raise TrainingRefused(f"{product.name}: {self.metric.name} is undefined on one of {[w.partition for w in windows]}")
        return float(np.mean(values))

    def _study(self, windows: Sequence[SearchWindow]) -> "Study":
        """The trials so far of this search: of other data, another space, code or declaration there are none."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        seed = self.product.model.seed
        of = {
            "data": [window.data_versions for window in windows],
            "windows": [window.partition for window in windows],
            "declared": self.product.section("features", "split", "window", "model"),
            "space": {name: search.model_dump(mode="json") for name, search in self.product.tune.space.items()},
            "metric": self.metric.name,
            "code": closure("ml_assets.builders.model:train").digest,
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        storage = f"sqlite:///{self.folder / f'{self.product.name}.db'}"
        with _experimental():
            study = optuna.create_study(
                storage=storage,
                study_name=digest_json(of),
                load_if_exists=True,
                direction="maximize" if self.metric.greater_is_better else "minimize",
                pruner=optuna.pruners.MedianPruner(n_startup_trials=WARM_UP),
            )
            # A search that goes on must not suggest once more what it began with.
            study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.get_trials(deepcopy=False)), multivariate=True)
        return study

    def _compared(self, windows: Sequence[SearchWindow], parameters: Mapping[str, Any]) -> tuple[Estimate, bool]:
        """The difference on windows that the search has not seen, by the product's unit, and whether it is one beyond noise."""
        better = with_values(self.product, assignments(parameters))
        frame = pl.concat([window.rows for window in windows], how="vertical_relaxed")
        scores = {
            role: np.concatenate([window.scores(product) for window in windows])
            for role, product in {"candidate": better, "champion": self.product}.items()
        }
        overall = measured(frame, scores, product=self.product).overall
        difference = next(part for part in overall if part.metric == self.metric.name).estimates["difference"]
        return difference, difference.low > 0 if self.metric.greater_is_better else difference.high < 0

    def _patch(self, parameters: Mapping[str, Any]) -> str:
        before = (self.product.files.spec or b"").decode()
        path = (self.product.folder / SPEC_FILE).relative_to(_root(self.product))
        return unified(path.as_posix(), before, with_parameters(before, parameters))


def _root(product: Product) -> Path:
    """The folder that a patch is applied in: that of the repository, or the product's own where there is none."""
    try:
        return Repository.around(product.folder).root
    except GitRefused:
        return product.folder


def _suggested(trial: "Trial", name: str, search: SearchSpec) -> Any:
    if search.choices:
        return trial.suggest_categorical(name, search.choices)
    low, high = search.limits
    if search.is_whole:
        return trial.suggest_int(name, int(low), int(high), log=search.log)
    return min(max(rounded(trial.suggest_float(name, low, high, log=search.log)), low), high)


def _tried(trial: Any) -> TunedTrial:
    finished = trial.state.name == "COMPLETE"
    attributes = trial.user_attrs
    return TunedTrial(
        number=trial.number,
        parameters=attributes.get("parameters", {}),
        value=trial.value if finished else math.nan,
        why=attributes.get("why", "" if finished else "broken off"),
    )


def _numbers(frame: pl.DataFrame, label: str) -> np.ndarray:
    return frame[label].cast(pl.Float64).to_numpy()


@contextmanager
def _experimental() -> Iterator[None]:
    """Use what Optuna calls experimental without its warning."""
    import warnings

    from optuna.exceptions import ExperimentalWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield
