"""Test windows that could have been: units drawn again with their neighbours, and how sure a counted share is."""

from dataclasses import replace

import numpy as np
from scipy.special import betaincinv

from ml_assets.core.gates.panel import Panel

BLOCK = 7
"""How many units that follow each other in time are drawn together: a week of days, so that what outlasts a day stays."""


def redrawn(panel: Panel, random: np.random.Generator, *, units: int | None = None) -> Panel:
    """A window of `units` (as many as there are) drawn with replacement, in blocks where units have an order in time; the first
    follows the last, so that each is as likely as any other. A unit that is drawn twice is two units."""
    codes, count = panel.units.codes, panel.units.count
    length, wanted = BLOCK if panel.is_ordered else 1, units or count
    order = np.argsort(codes, kind="stable")
    edges = np.searchsorted(codes[order], np.arange(count + 1))
    starts = random.integers(0, count, size=-(-wanted // length))
    drawn = ((starts[:, None] + np.arange(length)) % count).ravel()[:wanted]
    rows = [order[edges[unit] : edges[unit + 1]] for unit in drawn]
    part = panel.part(np.concatenate(rows))
    return replace(part, codes=np.repeat(np.arange(len(rows)), [unit_rows.size for unit_rows in rows]))


def clopper_pearson(hits: int, tries: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """The exact two-sided interval of a share of which `hits` of `tries` were counted; 0 to 1 when nothing was tried."""
    tail = (1 - confidence) / 2
    low = float(betaincinv(hits, tries - hits + 1, tail)) if hits > 0 else 0.0
    high = float(betaincinv(hits + 1, tries - hits, 1 - tail)) if hits < tries else 1.0
    return low, high
