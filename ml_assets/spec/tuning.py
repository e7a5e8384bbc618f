"""The section `tune` of product.yaml: which parameters `ml-assets tune` searches, and how long. Nothing is built from it."""

from collections.abc import Mapping
from typing import Any, Self, TypeAlias

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from ml_assets.spec.base_section import Section
from ml_assets.spec.model.parameters import parameter_of_task
from ml_assets.spec.sections import ModelSpec

Number: TypeAlias = int | float
PARAMS = "params."
"""How the name of a parameter of `model.params` begins."""
OWN = ("iterations", "learning_rate", "depth")
"""The parameters that `model` has keys of its own for."""


class SearchSpec(Section):
    """The values of a parameter that are tried: from `low` to `high`, both included, evenly or, with `log`, by ratio; or those of
    `choices`. Between two whole limits only whole numbers are tried."""

    low: Number | None = None
    high: Number | None = None
    log: bool = False
    choices: tuple[str | bool | Number, ...] = ()

    @model_validator(mode="after")
    def _has_values(self) -> Self:
        if self.choices:
            if self.low is not None or self.high is not None or self.log:
                raise ValueError("give choices, or low and high, not both")
            if len(set(map(repr, self.choices))) < 2:
                raise ValueError("choices has to have two values at least; with one there is nothing to search")
            return self
        if self.low is None or self.high is None:
            raise ValueError("give low and high, or choices")
        if self.low >= self.high:
            raise ValueError(f"low {self.low:g} has to be less than high {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"log needs limits above 0, and low is {self.low:g}")
        return self

    @property
    def is_whole(self) -> bool:
        """Whether only whole numbers are tried."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def limits(self) -> tuple[Number, Number]:
        """The least and the greatest value. Raises TypeError for choices."""
        if self.low is None or self.high is None:
            raise TypeError("choices have no limits")
        return self.low, self.high

    @property
    def ends(self) -> tuple[Any, ...]:
        """The values that have to be possible for all to be."""
        return self.choices or (self.low, self.high)


USUAL_SPACE: Mapping[str, SearchSpec] = {
    "iterations": SearchSpec(low=30, high=500, log=True),
    "learning_rate": SearchSpec(low=0.01, high=0.3, log=True),
    "depth": SearchSpec(low=2, high=10),
    "params.l2_leaf_reg": SearchSpec(low=1.0, high=30.0, log=True),
}


class TuneSpec(Section):
    """A search of model parameters: how many `trials`, for at most how many `minutes`, on how many past `windows`, over which
    `space` (by default iterations, learning_rate, depth and params.l2_leaf_reg)."""

    trials: int = Field(default=30, ge=1, le=10_000)
    minutes: float | None = Field(default=None, gt=0)
    windows: int = Field(default=3, ge=1, le=100)
    space: dict[str, SearchSpec] = Field(default_factory=lambda: dict(USUAL_SPACE), min_length=1)

    @field_validator("space")
    @classmethod
    def _can_be_declared(cls, space: dict[str, SearchSpec], info: ValidationInfo) -> dict[str, SearchSpec]:
        for name, search in space.items():
            if name.startswith(PARAMS):
                try:
                    parameter_of_task(name.removeprefix(PARAMS), info)
                except ValueError as error:
                    raise ValueError(f"{name}: {error}") from None
            elif name not in OWN:
                raise ValueError(f"{name}: allowed are {', '.join(OWN)}, and parameters of CatBoost as {PARAMS}NAME")
            else:
                _require_possible(name, search)
        return space


def _require_possible(name: str, search: SearchSpec) -> None:
    """Refuse values that `model` could not have."""
    least = {"iterations": 1, "learning_rate": 0.1, "depth": 1, "seed": 0, "threads": 1}
    for value in search.ends:
        try:
            ModelSpec.model_validate({**least, name: value})
        except ValidationError as error:
            raise ValueError(f"{name}: {value}: {error.errors()[0]['msg']}") from None
