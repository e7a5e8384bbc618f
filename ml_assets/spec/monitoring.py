"""The `monitoring` and `plausibility` sections of product.yaml: the limits above which monitoring warns, what decisions are
worth, and which doubts about a partition hold it back from training."""

from typing import ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from ml_assets.spec.base_section import Column, Section
from ml_assets.spec.model.parameters import written_task
from ml_assets.spec.sections import TaskMetric

PlausibilityClaim = Literal[
    "volume_plausible", "content_is_new", "label_rate_plausible", "relations_hold", "no_column_gives_label_away"
]
CELLS = ("true_positive", "false_positive", "false_negative", "true_negative")


class ValueSpec(Section):
    """The worth of a row, in any one currency: by the cell of the confusion matrix that its decision puts it in; of a regression
    by each unit of absolute error (below 0); of several classes by the cell of `matrix`, a row for each outcome with one number
    for each decision, both in the order of `features.classes`."""

    later: ClassVar[frozenset[str]] = frozenset({"matrix"})
    true_positive: float = 0
    false_positive: float = 0
    false_negative: float = 0
    true_negative: float = 0
    error: float | None = Field(default=None, lt=0)
    matrix: tuple[tuple[float, ...], ...] = ()

    @model_validator(mode="after")
    def _tells_rows_apart(self) -> Self:
        cells = {getattr(self, cell) for cell in CELLS}
        if self.matrix:
            return self._checked_matrix(has_others=self.error is not None or cells != {0})
        if self.error is None and len(cells) == 1:
            raise ValueError(
                f"every decision is worth the same; say what differs: {', '.join(CELLS)}, or error of a regression, or matrix of "
                "several classes"
            )
        if self.error is not None and cells != {0}:
            raise ValueError(f"error is the worth of a regression's error, {', '.join(CELLS)} are that of decisions: not both")
        return self

    def _checked_matrix(self, *, has_others: bool) -> Self:
        if has_others:
            raise ValueError(f"matrix is the worth of decisions between several classes, without {', '.join(CELLS)} and error")
        if any(len(row) != len(self.matrix) for row in self.matrix):
            sizes = ", ".join(str(len(row)) for row in self.matrix)
            raise ValueError(f"matrix: {len(self.matrix)} outcomes need {len(self.matrix)} numbers in each row; found {sizes}")
        if all(len(set(row)) == 1 for row in self.matrix):
            raise ValueError("matrix: every decision about an outcome is worth the same; say which of them is worth more")
        return self


class MonitoringSpec(Section):
    """The reference of a new partition, the limits of drift that plots show, and the limit of the realised metric."""

    later: ClassVar[frozenset[str]] = frozenset({"value", "reference"})
    reference: Literal["training", "previous", "same_season"] = "previous"
    score_psi: float = Field(gt=0)
    column_psi: float = Field(gt=0)
    metric: TaskMetric
    max_drop: float = Field(ge=0)
    ignore: tuple[Column, ...] = ()
    value: ValueSpec | None = None

    @field_validator("value")
    @classmethod
    def _is_of_the_task(cls, value: ValueSpec | None, info: ValidationInfo) -> ValueSpec | None:
        task = written_task(info)
        if value is None or task is None:
            return value
        declared = "matrix" if value.matrix else "error" if value.error is not None else "cells"
        allowed = {"regression": "error", "multiclass": "matrix"}.get(task, "cells")
        if declared != allowed:
            raise ValueError(f"of a {task} task say {', '.join(CELLS) if allowed == 'cells' else allowed}")
        return value


class PlausibilitySpec(Section):
    """A partition that fails a claim of `hold` is neither trained nor tested on until a person accepts its content
    (`ml-assets accept`) or another delivery replaces it; the other claims only warn."""

    hold: tuple[PlausibilityClaim, ...] = ()
