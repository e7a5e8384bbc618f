"""The test of one partition: is its distance larger than those of the past, each partition of which is replayed against the ones
before it? Pure arithmetic; everything may have leading dimensions, so that simulations are one call.
"""

from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from ml_assets.core.drift.distance import Flags, natural_variation
from ml_assets.core.metrics.arrays import Floats, Ints

ABSENT = -9.0
"""z of a test that has nothing to compare."""
LEAST_LARGEST = 1.0
"""A largest z below it counts as this: its logarithm is taken."""
LEAST_SPREAD = 0.1
"""The least standard deviation of the logarithm of the largest z; a few alike replays would make it too small."""
MODERATED = 3
"""Fewer tests than these lend each other no variance."""


@dataclass(frozen=True)
class DistancePValues:
    """`p` (…, tests): after Holm, over all tests of the partition. `largest` (…,): of the largest z against the largest z of each
    replay. `z` (…, tests). Both p have to be below a level."""

    p: Floats
    largest: Floats
    z: Floats

    def exceeds(self, level: float) -> Flags:
        """(…, tests): what is larger than the past allows at this level."""
        both: Flags = np.maximum(self.p, self.largest[..., None]) < level
        return both


def judge(distance: Floats, expected: Floats, counts: Flags, bins: Ints) -> DistancePValues:
    """Judge the last of G+1 comparisons (…, G+1, tests), the others being replays of the past.

    `counts` (…, G+1, tests) says whether a comparison of a test counts: only those where it moved enough, of the last one.
    `bins` (tests,) is the number of bins of each test.

    u = (d/(E0+τ))^(1/3) is nearly normal (Wilson and Hilferty 1931). Its variance in the replays is moderated across tests (Smyth
    2004), relative to 2/(9 (bins-1)), what it would be without natural variation. A replay is compared with the other replays, as
    the partition is with all of them; so the largest z is one more of the same kind, and the logarithm tames heavy tails.
    """
    z, adjusted = against_past(distance, expected, bins, counts[..., -1, :])
    past = expected[..., :-1, :] > 0
    replayed = _replayed(distance[..., :-1, :], expected[..., :-1, :], past, _theory(bins))
    return DistancePValues(adjusted, _largest(z.max(axis=-1), np.where(past, replayed, ABSENT).max(axis=-1)), z)


def against_past(distance: Floats, expected: Floats, bins: Ints, counts: Flags | None = None) -> tuple[Floats, Floats]:
    """The z and p values after Holm (…, tests) of the last of G+1 comparisons, without a look at how large the largest z of
    replays are."""
    known = expected > 0
    past, theory = known[..., :-1, :], _theory(bins)
    variation = natural_variation(distance[..., :-1, :], expected[..., :-1, :], past)
    u = _root(distance, expected, variation[..., None, :], known)
    before = np.where(past, u[..., :-1, :], 0.0)
    z, degrees = _standardised(u[..., -1, :], before.sum(axis=-2), (before**2).sum(axis=-2), past.sum(axis=-2), theory)
    z = np.where(known[..., -1, :] & (True if counts is None else counts), z, ABSENT)
    return z, _holm(stats.t.sf(z, np.maximum(degrees, 1)))


def _theory(bins: Ints) -> Floats:
    """The variance of u without natural variation."""
    theory: Floats = 2 / (9 * np.maximum(bins - 1, 1))
    return theory


def _replayed(distance: Floats, expected: Floats, known: Flags, theory: Floats) -> Floats:
    """The z values (…, G, tests) of each replay among the others: they alone say what is natural, as all say it of the partition
    at hand."""
    replays = distance.shape[-2]
    others = ~np.eye(replays, dtype=bool)[:, :, None] & known[..., None, :, :]
    shape = others.shape
    variation = natural_variation(
        np.broadcast_to(distance[..., None, :, :], shape), np.broadcast_to(expected[..., None, :, :], shape), others
    )
    own = _root(distance, expected, variation, known)
    rest = np.where(others, _root(distance[..., None, :, :], expected[..., None, :, :], variation[..., None, :], others), 0.0)
    z, _ = _standardised(own, rest.sum(axis=-2), (rest**2).sum(axis=-2), others.sum(axis=-2), theory)
    return z


def _root(distance: Floats, expected: Floats, variation: Floats, known: Flags) -> Floats:
    """u, 0 where there is nothing to compare."""
    return np.where(known, np.cbrt(distance / np.where(known, expected + variation, 1.0)), 0.0)


def _standardised(u: Floats, total: Floats, squares: Floats, number: Floats, theory: Floats) -> tuple[Floats, Floats]:
    """The z value of u, and its degrees of freedom, from the sum, the sum of squares and the number of the values that it is
    compared with."""
    several = np.maximum(number, 1)
    mean = np.where(number >= 1, total / several, 1 - theory)
    is_varied = number >= 2
    variance = np.where(is_varied, np.maximum(squares - total**2 / several, 0) / np.maximum(number - 1, 1), theory)
    ratio, degrees = _moderated(variance / theory, np.where(is_varied, number - 1.0, 0.0), is_varied)
    return (u - mean) / np.sqrt(ratio * theory * (1 + 1 / several)), degrees


def _moderated(ratio: Floats, degrees: Floats, is_varied: Flags) -> tuple[Floats, Floats]:
    """Variances (…, tests) drawn towards what they have in common (Smyth 2004, section 6.2), with their degrees of freedom."""
    own = np.maximum(degrees, 1.0)
    logs = np.where(is_varied, np.log(np.maximum(ratio, 1e-4)) - special.digamma(own / 2) + np.log(own / 2), 0.0)
    tests = is_varied.sum(axis=-1, keepdims=True)
    several = np.maximum(tests, 1)
    mean = logs.sum(axis=-1, keepdims=True) / several
    spread = np.where(is_varied, (logs - mean) ** 2, 0.0).sum(axis=-1, keepdims=True) / np.maximum(several - 1, 1)
    spread = spread - np.where(is_varied, special.polygamma(1, own / 2), 0.0).sum(axis=-1, keepdims=True) / several
    prior = np.where(spread > 1e-6, 2 * _trigamma_inverse(np.maximum(spread, 1e-6)), 1e6)
    common = np.exp(mean + special.digamma(prior / 2) - np.log(prior / 2))
    prior = np.where(tests < MODERATED, 0.0, prior)
    sum_of_both = np.maximum(prior + degrees, 1e-9)
    moderated = (prior * common + degrees * np.where(is_varied, ratio, 0.0)) / sum_of_both
    return np.where(prior + degrees > 0, np.maximum(moderated, 1e-9), np.maximum(ratio, 1e-9)), prior + degrees


def _trigamma_inverse(values: Floats) -> Floats:
    """The y (…,) with trigamma(y) = value, by Newton's method on 1/trigamma, which is nearly linear."""
    shapes = 0.5 + 1 / values
    for _ in range(8):
        trigamma = special.polygamma(1, shapes)
        shapes = shapes + trigamma * (1 - trigamma / values) / special.polygamma(2, shapes)
    return np.asarray(shapes)


def _largest(largest: Floats, replayed: Floats) -> Floats:
    """The p value of the largest z (…,) among those of the replays (…, G), on the logarithm's scale, as one more draw of a
    normal."""
    own, past = (np.log(np.maximum(values, LEAST_LARGEST)) for values in (largest, replayed))
    number = past.shape[-1]
    spread = np.maximum(past.std(axis=-1, ddof=1), LEAST_SPREAD) * np.sqrt(1 + 1 / number)
    return np.asarray(stats.t.sf((own - past.mean(axis=-1)) / spread, number - 1))


def _holm(p: Floats) -> Floats:
    """The p values (…, tests) adjusted after Holm (1979)."""
    order = np.argsort(p, axis=-1)
    ordered = np.take_along_axis(p, order, axis=-1) * np.arange(p.shape[-1], 0, -1)
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, np.minimum(np.maximum.accumulate(ordered, axis=-1), 1.0), axis=-1)
    return adjusted
