"""A verdict as an evaluation's facts keep it. A default is for what older code did not record: it passes nothing.

Does not belong here: giving verdicts (ml_assets.core.gates.verdict), or believing them (ml_assets.core.gates.unproven).
"""

from math import nan
from typing import Literal

import msgspec


class HypothesisFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of one tested hypothesis; None is one that was not finite or not recorded."""

    estimate: float | None = None
    standard_error: float | None = None
    freedom: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    skewness: float | None = None
    past_skewness: float | None = None
    correlation: float | None = None
    effective_units: float | None = None
    own_correlation: float | None = None
    squares: float | None = None
    cubes: float | None = None
    past: int = 0
    units: int = 0
    rows: int = 0
    note: str = ""


class PartFacts(HypothesisFacts, frozen=True, kw_only=True):
    """One hypothesis of a claim that divides the rows."""

    where: str = ""
    outcome: str = ""


class ClaimFacts(HypothesisFacts, frozen=True, kw_only=True):
    """One claim as it was judged. `missing` is None where it was not recorded: then it passes nothing."""

    name: str = ""
    kind: str = ""
    text: str = ""
    outcome: str = ""
    message: str = ""
    sign: str = ""
    limit: float = nan
    further_units: int | None = None
    worst_low: float | None = None
    worst_high: float | None = None
    unknown: int = 0
    parts: tuple[PartFacts, ...] = ()
    left_out: tuple[str, ...] = ()
    missing: tuple[str, ...] | None = None


class GainFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The gain of a candidate over the champion within units, positive where it was better, with its standard error."""

    metric: str
    unit: str
    value: float
    error: float


class DesignFacts(msgspec.Struct, frozen=True, kw_only=True):
    """How much greater the variance of a claim is by a calendar unit than by row, with its lower bound; of `unit: row` alone."""

    unit: str
    claim: str
    effect: float
    low: float


class VerdictFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict as it was recorded (core.gates.verdict gives it)."""

    decision: Literal["ACCEPT", "REJECT", "INCONCLUSIVE"]
    reasons: tuple[str, ...] = ()
    claims: tuple[ClaimFacts, ...] = ()
    not_asked: tuple[str, ...] = ()
    gate: str = ""
    level: float = nan
    alpha: float = nan
    looks: int = 0
    unit: str = ""
    units: int = 0
    rows: int = 0
    is_first: bool | None = None
    is_better: bool = False
    guarantee: str = ""
    gain: GainFacts | None = None
    too_good: str = ""
    windows: int = 1
    design: DesignFacts | None = None
