"""Values of parameters: as assignments of product.yaml, in words, and where they lie in what was searched."""

import math
from collections.abc import Mapping
from typing import Any

from ml_assets.spec.tuning import SearchSpec

DIGITS = 3
"""Significant digits of a value that is tried: a declaration is read by people, and more of them are noise."""
EDGE = 0.02
"""The share of a range, next to either end, that counts as its edge."""


def rounded(value: float) -> float:
    """The value as it is tried and would be declared."""
    return float(f"{value:.{DIGITS}g}")


def assignments(parameters: Mapping[str, Any]) -> list[str]:
    """The parameters as `--set` takes them: model.depth=6."""
    return [f"model.{name}={_written(value)}" for name, value in parameters.items()]


def in_words(parameters: Mapping[str, Any]) -> str:
    """The parameters on one line."""
    return ", ".join(f"{name} {_written(value)}" for name, value in parameters.items())


def at_edge(space: Mapping[str, SearchSpec], parameters: Mapping[str, Any]) -> list[str]:
    """A sentence for each parameter whose value lies at the end of its range: a better one may lie beyond it."""
    return [
        f"{name} {value:g} lies at the edge of what was searched ({space[name].low:g} to {space[name].high:g}): a wider "
        f"`tune.space.{name}` may hold a better one"
        for name, value in parameters.items()
        if not space[name].choices and _is_at_edge(space[name], value)
    ]


def _is_at_edge(search: SearchSpec, value: float) -> bool:
    if search.is_whole and value in search.limits:
        return True
    low, high, at = (math.log(v) if search.log else float(v) for v in (*search.limits, value))
    return min(at - low, high - at) <= EDGE * (high - low)


def _written(value: Any) -> str:
    """The value as YAML has it."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
