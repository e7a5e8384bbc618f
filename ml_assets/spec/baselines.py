"""The `gates.baselines` section of product.yaml: what a candidate is compared with."""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from ml_assets.spec.base_section import Column, Section


class SimpleModelSpec(Section):
    """The simple model in the role `baseline`, by one of its keys: `prior`, the mean label; `column`, a feature as it is;
    `last_value`, the newest label with the same values in these columns; `linear`, a linear (binary: logistic) model of these."""

    prior: Literal[True] | None = None
    column: Column | None = None
    last_value: tuple[Column, ...] | None = Field(default=None, min_length=1)
    linear: tuple[Column, ...] | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _is_one_model(self) -> Self:
        kinds = list(type(self).model_fields)
        declared = [name for name in kinds if getattr(self, name) is not None]
        if len(declared) != 1:
            raise ValueError(f"needs exactly one of {', '.join(kinds)}; found {', '.join(declared) or 'none'}")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The features that it reads."""
        return self.linear or self.last_value or ((self.column,) if self.column else ())


class BaselineSpec(Section):
    """The champion is the release that serves, the anchor the last release that was proven better than the one before, and the
    baseline a simple model that is fitted on the candidate's training window."""

    later: ClassVar[frozenset[str]] = frozenset({"baseline"})
    champion: Literal["serving"] = "serving"
    anchor: Literal["last_proven"] = "last_proven"
    baseline: SimpleModelSpec | None = None
