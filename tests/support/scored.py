"""Scored rows for tests: arguments of an evaluation, made from a seed."""

from typing import Any

import numpy as np


def rows(count: int = 3000, seed: int = 0) -> dict[str, Any]:
    """Arguments of a binary evaluation with a champion, two slices and thirty days."""
    random = np.random.default_rng(seed)
    y = (random.random(count) < 0.2).astype(int)
    return {
        "task": "binary",
        "y": y,
        "scores": {
            name: 1 / (1 + np.exp(1.5 - power * y - random.normal(0, 1, count)))
            for name, power in {"candidate": 1.3, "champion": 1.0}.items()
        },
        "unit": [f"2013-12-{day + 1:02}" for day in random.integers(0, 30, count)],
        "slices": {
            "carrier": random.choice(["UA", "AA", "B6"], count, p=[0.6, 0.3, 0.1]),
            "origin": ["JFK", "LGA"] * (count // 2),
        },
        "threshold": 0.3,
    }


def regression_rows(count: int = 3000) -> dict[str, Any]:
    random = np.random.default_rng(0)
    y = random.normal(10, 3, count)
    scores = {"candidate": y + random.normal(0, 1, count), "champion": y + random.normal(0.5, 2, count)}
    return {
        "task": "regression",
        "y": y,
        "scores": scores,
        "unit": random.integers(0, 250, count),
        "slices": {"city": random.choice(["A", "B"], count)},
    }


def without_champion(given: dict[str, Any]) -> dict[str, Any]:
    return given | {"scores": {"candidate": given["scores"]["candidate"]}}
