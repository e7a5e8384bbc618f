"""Worlds without drift, whose partitions differ by chance or by nature: rows by bin, drawn at once as multinomial counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ml_assets.core.metrics.arrays import Floats, Ints

History = Literal["stationary", "seasons", "heavy"]
SEASONS = 2
"""Seasons of the world that has them; each partition is compared with those of its own."""
NUMBERS = (0.098,) * 10 + (0.02,)
LEVELS = (0.5, 0.2, 0.1, 0.05, 0.05, 0.03, 0.03, 0.02, 0.01, 0.01)


@dataclass(frozen=True)
class Worlds:
    """`counts`: by number of rows asked for, rows by bin (worlds, partitions, bins). `bins` (tests,): of each test; `column`
    (tests,): the column that it is about. Several counts are independent draws from the same shares."""

    counts: Sequence[Floats]
    bins: Ints
    column: Ints

    @property
    def starts(self) -> Ints:
        """Where the bins of each test begin."""
        return np.concatenate([[0], np.cumsum(self.bins)[:-1]])


def simulated(
    history: History, *, worlds: int, partitions: int, rows: Sequence[int], columns: int, random: np.random.Generator
) -> Worlds:
    """Partitions in order, with so many `rows` each. Two columns of three are numbers. `seasons` alternate; `heavy` moves each
    column along a direction of its own, by Student's t with 3 degrees."""
    blocks: list[list[Floats]] = [[] for _ in rows]
    bins: list[int] = []
    for column in range(columns):
        base = np.array(LEVELS if column % 3 == 2 else NUMBERS)
        shares = _shares(history, np.log(base / base.sum()), (worlds, partitions, base.size), random)
        for number, block in zip(rows, blocks, strict=True):
            counts = random.multinomial(number, shares).astype(float)
            alone = [counts[..., place] for place in (base.size - 1, 0)]
            block += [counts, *(np.stack([one, number - one], axis=-1) for one in alone)]
        bins += [base.size, 2, 2]
    return Worlds([np.concatenate(block, axis=-1) for block in blocks], np.array(bins), np.repeat(np.arange(columns), 3))


def _shares(history: History, logs: Floats, shape: tuple[int, int, int], random: np.random.Generator) -> Floats:
    """Of one column (worlds, partitions, bins)."""
    worlds, partitions, bins = shape
    direction = random.normal(size=(worlds, 1, bins))
    jitter = random.normal(size=shape)
    if history == "stationary":
        moved = np.broadcast_to(logs, shape)
    elif history == "seasons":
        season = (np.arange(partitions) % SEASONS)[None, :, None]
        moved = logs + 0.5 * season * direction + 0.05 * jitter
    else:
        moved = logs + 0.1 * random.standard_t(3, size=(worlds, partitions, 1)) * direction + 0.05 * jitter
    shares = np.exp(moved)
    return np.asarray(shares / shares.sum(axis=-1, keepdims=True))
