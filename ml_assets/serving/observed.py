"""What was scored since the bundle was loaded, counted beside its profile: scores by bin, categories the training never saw."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

from ml_assets.serving.sql_code import Row


class Observed:
    """Counters for one loaded bundle; `profile` is its profile.json, {} where there is none."""

    def __init__(self, profile: Mapping[str, Any], features: Sequence[Mapping[str, str]]) -> None:
        self.edges: list[float] = list(profile.get("score", {}).get("edges", ()))
        self.expected: list[float] = list(profile.get("score", {}).get("shares", ()))
        self.scores = [0] * (len(self.edges) + 1)
        columns = profile.get("columns", {})
        self._levels = {
            position: frozenset(columns[feature["name"]]["levels"])
            for position, feature in enumerate(features)
            if columns.get(feature["name"], {}).get("kind") == "category"
        }
        self.names = {position: features[position]["name"] for position in self._levels}
        self._unknown = dict.fromkeys(self._levels, 0)

    def add(self, computed: Sequence[Row], scores: Sequence[float]) -> None:
        """Count rows of feature values and their scores."""
        for score in scores:
            self.scores[bisect_left(self.edges, score)] += 1
        for position, levels in self._levels.items():
            for row in computed:
                if row[position] not in levels:
                    self._unknown[position] += 1

    @property
    def unknown(self) -> dict[str, int]:
        """Rows by category feature whose value is none of the profile's."""
        return {self.names[position]: count for position, count in self._unknown.items()}

    @property
    def psi(self) -> float | None:
        """Population stability index of the scores so far; None before the first, or without a profile."""
        from ml_assets.core.drift import psi

        total = sum(self.scores)
        if not total or not self.expected:
            return None
        shares = [count / total for count in self.scores] + [0.0] * (len(self.expected) - len(self.scores))
        import numpy as np

        return psi(np.array(self.expected), np.array(shares))
