"""The parameters that a verdict learns from those on earlier windows: how units of the same claim hang together, and how they
lean."""

from collections.abc import Mapping, Sequence
from math import nan

from ml_assets.core.gates.hypotheses import Past
from ml_assets.core.lineage.verdict_facts import ClaimFacts, HypothesisFacts, PartFacts, VerdictFacts
from ml_assets.core.metrics.spread import WindowSums

History = Mapping[str, Past]
"""By the text of a claim."""
MOST_WINDOWS = 10


def history(verdicts: Sequence[VerdictFacts], *, unit: str) -> History:
    """The recorded sums of these verdicts, as far as they were measured by the same unit."""
    sums_by_claim: dict[str, dict[str, list[WindowSums]]] = {}
    for claim in (claim for verdict in verdicts if verdict.unit == unit for claim in verdict.claims):
        rows: Sequence[PartFacts | ClaimFacts] = claim.parts or (claim,)
        for row in rows:
            if (sums := _sums(row)) is not None:
                where = row.where if isinstance(row, PartFacts) else ""
                sums_by_claim.setdefault(claim.text, {}).setdefault(where, []).append(sums)
    return sums_by_claim


def _sums(row: HypothesisFacts) -> WindowSums | None:
    if row.note or row.squares is None or row.cubes is None:
        return None
    correlation = nan if row.own_correlation is None else row.own_correlation
    return WindowSums(units=row.units, correlation=correlation, squares=row.squares, cubes=row.cubes)
