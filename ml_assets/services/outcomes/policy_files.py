"""Policies of retraining as a file declares them, and the one that a product has."""

from pathlib import Path

from pydantic import Field

from ml_assets.core.outcomes.policy_backtest import PolicyRefused, RetrainingPolicy, Word
from ml_assets.spec.automation import LossSpec
from ml_assets.spec.base_section import Column, Section
from ml_assets.spec.product import Product
from ml_assets.spec.yaml_file import SpecFileProblems, read_model


class PolicySpec(Section):
    """One policy of a file."""

    on: tuple[Word, ...] = Field(min_length=1)
    every: int = Field(default=1, ge=1)
    loss: LossSpec | None = None
    max_drop: float | None = Field(default=None, ge=0)
    cool_down: int = Field(default=0, ge=0)


class PolicyFile(Section):
    """The content of a file of policies."""

    policies: dict[Column, PolicySpec] = Field(min_length=1)


def policies_of(file: Path, present: RetrainingPolicy) -> list[RetrainingPolicy]:
    """The product's present policy and those of a file: `policies: {name: {on: [drift], …}}`. Raises PolicyRefused."""
    try:
        named = read_model(file, PolicyFile).policies
    except SpecFileProblems as error:
        raise PolicyRefused("\n".join(map(str, error.problems))) from None
    return [present, *(_policy(name, spec, present) for name, spec in named.items())]


def present_policy(product: Product) -> RetrainingPolicy:
    """The policy of the product's `retrain:`, as far as partitions tell: what goes by the clock (a schedule, `cool_down`, limits)
    and changes of code are left out."""
    words: dict[str, Word] = {"new_partition": "new_partition", "outcomes": "new_partition", "drift": "drift", "loss": "loss"}
    on = tuple(dict.fromkeys(words[word] for word in product.retrain.on if word in words)) or ("never",)
    loss = product.retrain.loss
    return RetrainingPolicy("present", on, fails=loss.fails, of=loss.of, max_drop=product.monitoring.max_drop)


def _policy(name: str, spec: PolicySpec, present: RetrainingPolicy) -> RetrainingPolicy:
    """A policy of a file; what it leaves out is as in the present one."""
    fails, of = (spec.loss.fails, spec.loss.of) if spec.loss else (present.fails, present.of)
    max_drop = present.max_drop if spec.max_drop is None else spec.max_drop
    return RetrainingPolicy(name, spec.on, spec.every, fails, of, max_drop, spec.cool_down)
