"""The sections of product.yaml, as frozen models. Belongs here: what may be written. Does not: reading it."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    JsonValue,
    StrictInt,
    StrictStr,
    ValidationInfo,
    model_validator,
)

from ml_assets.spec.base_section import Column, Section
from ml_assets.spec.model.parameters import IN_PARAMS, parameter_of_task, written_task
from ml_assets.spec.tasks import METRICS, Metric

AT_THRESHOLD: frozenset[Metric] = frozenset({"tpr", "fpr", "selection_rate", "precision", "f1", "mcc"})
"""Metrics of decisions: they need the product's decision threshold."""
STAGING_LINE = "staging: {p99_ratio: 1.5, attempts: 3}"


def _metric_of_task(metric: Metric, info: ValidationInfo) -> Metric:
    for task, metrics in METRICS.items():
        if task == written_task(info) and metric not in metrics:
            raise ValueError(f"is not a metric of a {task} task; allowed: {', '.join(metrics)}")
    return metric


TaskMetric = Annotated[Metric, AfterValidator(_metric_of_task)]
Parameter = Annotated[str, AfterValidator(parameter_of_task)]


class FeatureSpec(Section):
    """The columns that name a question, its time and its label, and how many earlier partitions dbt may read. `time` is "" where
    a question has none, as of a static table. `positive`: the label that counts as yes, where it is text. `classes`: the values
    of a label of several classes, in the order of their scores. `weight`: a column next to the label by which a row counts in
    training."""

    later: ClassVar[frozenset[str]] = frozenset({"positive", "classes", "weight"})
    lookback: int = Field(default=0, ge=0)
    key: tuple[Column, ...] = Field(min_length=1)
    time: str = ""
    label: Column
    positive: str | None = None
    classes: tuple[StrictStr | StrictInt, ...] = ()
    weight: Column | None = None

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes as texts; their order is that of the scores. Empty for a label that is none of several classes."""
        return tuple(map(str, self.classes))

    @property
    def labels(self) -> tuple[str, ...]:
        """The columns that labels have in addition to the key: the label, and the weight where one is declared."""
        return (self.label, self.weight) if self.weight else (self.label,)

    @property
    def identity(self) -> tuple[str, ...]:
        """The columns that the model does not see: key and time, which may be a part of the key."""
        return (*self.key, self.time) if self.time and self.time not in self.key else self.key


class KeysSpec(Section):
    """The meaning of a key that occurs in more than one partition. `refuse`: it is the same thing again, so a test row whose key
    was trained on judges nothing."""

    later: ClassVar[frozenset[str]] = frozenset({"across_partitions"})
    across_partitions: Literal["allow", "refuse"] = "allow"


class ModelSpec(Section):
    """CatBoost's parameters. All of them change the model, seed and threads included."""

    moved: ClassVar[Mapping[str, str]] = IN_PARAMS

    iterations: int = Field(ge=1)
    learning_rate: float = Field(gt=0, le=1)
    depth: int = Field(ge=1, le=16)
    seed: int = Field(ge=0)
    threads: int = Field(ge=1)
    params: dict[Parameter, JsonValue] = Field(default={})


class DecisionSpec(Section):
    """The score from which the decision is yes."""

    threshold: float = Field(ge=0, le=1)


class EvaluationSpec(Section):
    """The measurements of an evaluation in addition to the metrics: slices, and the level of the intervals."""

    slices: tuple[Column, ...] = ()
    interval: float = Field(default=0.95, gt=0, lt=1)


class ShadowSpec(Section):
    """The terms of a release that is tried in the shadow of the one that serves, before it serves itself."""

    unit: Column
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    max_harm: float = Field(ge=0)
    bound: float = Field(gt=0)

    @model_validator(mode="after")
    def _harm_is_within_the_bound(self) -> Self:
        if self.max_harm >= self.bound:
            raise ValueError(f"max_harm {self.max_harm:g} has to be less than bound {self.bound:g}")
        return self


class CanarySpec(ShadowSpec):
    """The terms of a release that serves a share of the requests, before it serves all of them."""

    share: float = Field(gt=0, le=0.5)


class EndpointSpec(Section):
    """The endpoint's address, its limits, and the trials of a new release on it."""

    host: str = "127.0.0.1"
    port: int = Field(ge=1, le=65535)
    smoke_rows: int = Field(default=200, ge=1)
    unknown_fields: Literal["refuse", "ignore"] = "refuse"
    unknown_categories: dict[Column, Literal["refuse", "score"]] = Field(default={})
    shadow: ShadowSpec | None = None
    canary: CanarySpec | None = None

    @property
    def refused_categories(self) -> tuple[str, ...]:
        """The request columns that take no category that the training never saw."""
        return tuple(sorted(column for column, policy in self.unknown_categories.items() if policy == "refuse"))


class StagingSpec(Section):
    """The latency that a candidate may have for one row, against that of the release that serves: the 99th percentiles of both,
    over HTTP.

    The measurement is repeated up to `attempts` times; one within `p99_ratio` is enough.
    """

    p99_ratio: float = Field(gt=1)
    attempts: int = Field(default=3, ge=1, le=10)


class CiSpec(Section):
    """The review of a change before it is merged: on how many past windows, the newest that are retired, and whether a verdict
    that is not reached lets it pass."""

    windows: int = Field(default=3, ge=1, le=100)
    on_inconclusive: Literal["pass", "fail"] = "pass"


class PromoteSpec(Section):
    """The commit that a release must come from before production may serve it: a commit of the default branch without
    uncommitted changes (`clean`)."""

    commit: Literal["clean"]
