"""The claim by which a release replaced another, asked again on rows that it served: the effect and its spread by unit."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ml_assets.core.gates.panel import Panel
from ml_assets.core.lineage.verdict_facts import ClaimFacts
from ml_assets.spec.claim_grammar import ClaimForm, parse

COMPARED = frozenset({"candidate", "champion"})


def promises(claims: Sequence[ClaimFacts]) -> Iterator[tuple[ClaimFacts, ClaimForm]]:
    """The claims that promised something against the champion on all rows, with their form."""
    for claim in claims:
        form = parse(claim.text)
        is_whole = all(measure.kind == "metric" and not measure.column for measure in form.measures)
        if claim.kind == "prove" and not claim.parts and is_whole and form.models == COMPARED:
            yield claim, form


def kept(claims: Sequence[ClaimFacts], panel: Panel) -> list[dict[str, Any]]:
    """Each promise on these rows, as facts: what was promised, and the sums of the units' effects.

    A unit's effect is the whole effect plus its part of the influence function times the number of units: their mean is the
    effect, and their spread that of the effect clustered by unit.
    """
    facts = []
    for claim, form in promises(claims):
        about = {"name": claim.name, "text": claim.text, "sign": form.sign, "limit": form.constant, "promised": claim.estimate}
        about["tested_units"] = claim.units
        measured = panel.measured(form.terms)
        if measured.note or not np.isfinite(measured.value):
            facts.append({**about, "note": measured.note or "undefined on these rows"})
            continue
        effects = measured.value + measured.parts * measured.units
        sums = {"units": measured.units, "total": float(effects.sum()), "squares": float((effects**2).sum())}
        facts.append({**about, **sums})
    return facts
