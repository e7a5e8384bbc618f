"""Drift in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml_assets.core.drift.bin_layout import Binned, Test
from ml_assets.core.metrics.arrays import Floats

SHOWN = 4
"""Columns that a sentence names."""


@dataclass(frozen=True)
class MovedColumn:
    """A test that exceeds: `share` of the rows would have to move back, `p` after Holm, `words` what happened."""

    column: str
    about: str
    share: float
    p: float
    words: str

    @property
    def values(self) -> dict[str, Any]:
        """As JSON."""
        return {**vars(self), "share": round(self.share, 4), "p": float(f"{self.p:.3g}")}


def moved(test: Test, of: Binned | None, used: Floats, rows: Sequence[int], *, p: float, share: float) -> MovedColumn:
    """A test of the last partition against those that are `used` (T,), with the number of `rows` of all T."""
    if of is None:
        before = float(np.exp(used @ np.log(np.maximum(rows, 1)) / used.sum()))
        words = f"{rows[-1]:,} rows, usually {before:,.0f}"
    elif test.about == "distribution":
        words = _distribution(of, used)
    else:
        words = _pair(test, of, used)
    return MovedColumn(test.column, test.about, float(share), float(p), words)


def in_words(moves: Sequence[MovedColumn]) -> str:
    """The most striking test of each column, in one sentence; empty where nothing moved."""
    best: dict[str, MovedColumn] = {}
    for part in moves:
        best.setdefault(part.column, part)
    named = [f"{part.column.strip('()')}: {part.words}" for part in [*best.values()][:SHOWN]]
    more = f"; and {len(best) - SHOWN} more columns" if len(best) > SHOWN else ""
    return "; ".join(named) + more


def _distribution(of: Binned, used: Floats) -> str:
    """By how much, with the median of numbers and the level that changed most."""
    shares, before = _shares(of.rows[-1]), _shares(used @ of.rows)
    total = f"{np.abs(shares - before).sum() / 2:.0%} of the rows moved"
    if of.medians is not None:
        usual = float(np.nanmean(np.where(used > 0, of.medians, np.nan))) if np.isfinite(of.medians[used > 0]).any() else np.nan
        if np.isfinite(of.medians[-1]) and np.isfinite(usual):
            return f"{total}, median {of.medians[-1]:.4g}, usually {usual:.4g}"
        return total
    most = int(np.abs(shares - before).argmax())
    return f"{total}, {of.labels[most]!r} {before[most]:.1%} -> {shares[most]:.1%}"


def _pair(test: Test, of: Binned, used: Floats) -> str:
    rows = {
        "missing": of.rows[:, -1],
        "unseen": of.rows[:, -2],
    }.get(test.about, of.most_frequent)
    assert rows is not None
    total = of.rows.sum(axis=1)
    before, now = float(used @ rows / max(used @ total, 1)), float(rows[-1] / max(total[-1], 1))
    named = {"missing": "missing", "unseen": "never seen before"}.get(test.about, "its most frequent value")
    return f"{named} {before:.1%} -> {now:.1%}"


def _shares(rows: Floats) -> Floats:
    shares: Floats = rows / max(rows.sum(), 1)
    return shares
