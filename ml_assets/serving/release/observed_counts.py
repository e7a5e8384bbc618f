"""Counts since the bundle was loaded, to compare with its profile: scores by bin or decisions by class, and categories that
training never saw."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ml_assets.core.metrics.score_columns import likeliest
from ml_assets.serving.plain.feature_values import CATEGORY, FeatureValues

if TYPE_CHECKING:
    from numpy.typing import NDArray


class ObservedCounts:
    """Counters for one loaded bundle; `profile` is its profile.json, {} where there is none."""

    def __init__(self, profile: Mapping[str, Any], features: Sequence[Mapping[str, str]], *, classes: Sequence[str] = ()) -> None:
        """Set all counts to zero, with the bins and levels of the profile. Of several `classes` the rows of each one that is the
        most probable are counted, in the order of the profile's levels."""
        self.edges: list[float] = list(profile.get("score", {}).get("edges", ()))
        self.expected: list[float] = list(profile.get("score", {}).get("shares", ()))
        self._edges = np.array(self.edges, dtype=np.float64)
        levels: list[str] = list(profile.get("score", {}).get("levels", ()))
        self.classes = [*levels, *(name for name in classes if name not in levels)]
        self._places = np.array([self.classes.index(name) for name in classes], dtype=np.int64)
        self._known_levels = len(levels)
        self._scores = np.zeros(len(self.classes) if classes else len(self.edges) + 1, dtype=np.int64)
        columns = profile.get("columns", {})
        categories = [feature["name"] for feature in features if feature["kind"] == CATEGORY]
        known = {name: columns[name]["levels"] for name in categories if columns.get(name, {}).get("kind") == CATEGORY}
        self.levels: list[list[str]] = [known.get(name, []) for name in categories]
        self._levels = {categories.index(name): frozenset(levels) for name, levels in known.items()}
        self._unknown = dict.fromkeys(known, 0)

    def add(self, values: FeatureValues, scores: "NDArray[np.float64]") -> None:
        """Count rows of feature values and their scores."""
        bins = self._places[likeliest(scores)] if self.classes else self._edges.searchsorted(scores)
        self._scores += np.bincount(bins, minlength=len(self._scores))
        for name, (column, levels) in zip(self._unknown, self._levels.items(), strict=True):
            if not levels.issuperset(texts := values.categories[column]):
                self._unknown[name] += sum(text not in levels for text in texts)

    @property
    def scores(self) -> list[int]:
        """Rows by bin of their score: up to the first edge, ..., above the last; of several classes by `classes`."""
        counts: list[int] = self._scores.tolist()
        return counts

    @property
    def unknown(self) -> dict[str, int]:
        """Rows by category feature whose value isn't in the profile."""
        return dict(self._unknown)

    @property
    def psi(self) -> float | None:
        """Population stability index of the scores so far; None before the first, or without a profile."""
        from ml_assets.core.metrics.drift import psi

        total = sum(self.scores)
        if not total or not self.expected:
            return None
        counts = self.scores
        if self.classes:  # as the profile has them: its levels, all others together, what is missing
            counts = [*counts[: self._known_levels], sum(counts[self._known_levels :])]
        shares = [count / total for count in counts] + [0.0] * (len(self.expected) - len(counts))
        return psi(np.array(self.expected), np.array(shares))
