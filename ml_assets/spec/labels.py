"""The sections `labels` and `probation` of product.yaml: when outcomes are complete, what a missing one means, the table that
brings them, and how a promotion is held to what it promised of them."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from ml_assets.spec.base_section import Name, Section, span
from ml_assets.spec.delivery import DeliverySpec, TableSpec
from ml_assets.spec.partitions import PartitionSpec


class LabelsSpec(Section):
    """A partition's outcomes are complete `matures` after its end; until then it neither trains nor tests. `absent` says what a
    question without an outcome then means: that nobody knows, or a no. `delivered` is a table of outcomes of its own, which may
    come in several files a partition; without it, outcomes come with the partition's own tables. Its `time`, where it has one,
    is the column that says when an outcome became known."""

    matures: str = "0d"
    absent: Literal["unknown", "negative"] = "unknown"
    delivered: dict[Name, TableSpec] = Field(default={}, max_length=1)

    @field_validator("matures")
    @classmethod
    def _is_a_span(cls, written: str) -> str:
        span(written)
        return written

    @model_validator(mode="after")
    def _absent_is_of_delivered(self) -> Self:
        if self.absent == "negative" and not self.delivered:
            raise ValueError("absent: a no is taken for missing rows of a delivered table of outcomes; declare `delivered`")
        return self

    @property
    def maturity(self) -> timedelta:
        """How long after its end a partition's outcomes are complete."""
        return span(self.matures)

    @property
    def outcomes_table(self) -> str:
        """The name of the delivered table of outcomes; "" where there is none."""
        return next(iter(self.delivered), "")


class ProbationSpec(Section):
    """The probation of promotions: what each promised is asked again on served rows, in `after` complete partitions at least, at
    the level `alpha` over all looks. A broken promise rolls the release back, or is told to people."""

    after: int = Field(default=2, ge=1)
    on_broken: Literal["rollback", "tell"] = "tell"
    alpha: float = Field(default=0.05, gt=0, lt=0.5)


def outcomes_problem(section: LabelsSpec | ProbationSpec | None, others: Mapping[str, Any]) -> str:
    """The problem of either section next to those before it in product.yaml; empty if nothing is, or these cannot be read."""
    if isinstance(section, ProbationSpec) and others.get("labels") is None:
        return "a promise is asked again on outcomes of what served: declare `labels: {matures: 30d}`"
    if isinstance(section, LabelsSpec) and {"task", "partitions", "delivery"} <= others.keys():
        return _labels_problem(section, others["partitions"], others["delivery"], task=others["task"])
    return ""


def _labels_problem(labels: LabelsSpec, partitions: PartitionSpec, delivery: DeliverySpec, *, task: str) -> str:
    if partitions.is_static and labels.maturity:
        return f"matures: a delivery of a static table has no end; found {labels.matures}, allowed: 0d"
    if partitions.is_static and labels.delivered:
        return "delivered: each delivery of a static table is the whole table, with its outcomes; leave it out"
    taken = sorted(labels.delivered.keys() & {*delivery.tables, *delivery.reference, "partition"})
    if taken:
        return f"delivered.{taken[0]}: the name is taken by a table of `delivery`"
    if labels.absent == "negative" and task != "binary":
        return "absent: only the answer to a yes-or-no question can be no; allowed with task: binary"
    return ""
