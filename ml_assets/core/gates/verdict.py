"""The verdict on one candidate: ACCEPT only when every claim that applies passed, and what that promises.

Belongs here: from claims to a decision, its reasons and its guarantee. Does not: who asks, how often (resources.ledger.budget).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import msgspec
import numpy as np

from ml_assets.core.digests import digest_json
from ml_assets.core.gates.claims import ClaimResult, judge_claim
from ml_assets.core.gates.history import History
from ml_assets.core.gates.hypotheses import Expected
from ml_assets.core.gates.levels import look_level
from ml_assets.core.gates.panel import Panel
from ml_assets.core.gates.row_units import design_effect, row_trouble
from ml_assets.core.gates.too_good import gain, too_good
from ml_assets.core.lineage.verdict_facts import DesignFacts, GainFacts
from ml_assets.core.metrics.arrays import Ints
from ml_assets.spec.gates import ClaimSpec, GateSpec
from ml_assets.spec.product import Product
from ml_assets.spec.task_rules import is_about_value

Decision: TypeAlias = Literal["ACCEPT", "REJECT", "INCONCLUSIVE"]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The decision with all reasons and numbers. `not_asked` are claims that do not apply to a first release.

    `is_better` says that the candidate was proven better than the anchor, which then moves to it. `too_good`: why its gain is too
    good to be true, which holds it for a person. `windows`: over how many test windows the rows are pooled.
    """

    decision: Decision
    reasons: tuple[str, ...]
    claims: tuple[ClaimResult, ...]
    not_asked: tuple[str, ...]
    gate: str
    level: float
    alpha: float
    looks: int
    unit: str
    units: int
    rows: int
    is_first: bool
    is_better: bool
    guarantee: str
    gain: GainFacts | None = None
    too_good: str = ""
    windows: int = 1
    design: DesignFacts | None = None

    @property
    def is_accept(self) -> bool:
        """Whether the decision is ACCEPT."""
        return self.decision == "ACCEPT"

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; a number that is not finite is null."""
        apart = ("claims", "reasons", "not_asked", "gain", "design")
        fields = {name: value for name, value in vars(self).items() if name not in apart}
        gained = msgspec.structs.asdict(self.gain) if self.gain else None
        design = {"design": msgspec.structs.asdict(self.design)} if self.design else {}
        claims = [claim.to_dict() for claim in self.claims]
        lists = {"claims": claims, "reasons": list(self.reasons), "not_asked": list(self.not_asked)}
        return fields | {"gain": gained, **lists, **design}


def gate_digest(product: Product) -> str:
    """The digest of what a verdict was asked: the gates block, the decision threshold, and the value if a claim is about it."""
    valued = ["monitoring.value"] if any(is_about_value(claim.form) for claim in product.gates.claims) else []
    question = product.section("gates", "decision", *valued)
    for claim in question["gates"]["claims"]:
        claim["require"] = None  # a key that claims had: without it, every window asked so far would be charged a second time
    return digest_json(question)


def judge(
    product: Product,
    panel: Panel,
    *,
    expected: Expected | None = None,
    has_champion: bool | None = None,
    trouble: str = "",
    doubt: str = "",
    past: History | None = None,
    gains: Sequence[GainFacts] = (),
    coarser: Mapping[str, Ints] | None = None,
) -> Verdict:
    """Hold every claim that applies against the rows. It is a first release where no release serves.

    `expected`: levels that the window should hold; `has_champion`: whether a release serves (default: whether it was scored);
    `trouble`: why nothing can be decided on these rows; `doubt`: why nothing may be let through on them, whatever they show;
    `past`: what earlier windows showed of these claims; `gains`: those of the candidates on them; `coarser`: of a block that says
    `unit: row`, the codes (n,) of calendar units that rows may be alike by.
    """
    gates = product.gates
    is_first = not ("champion" in panel.scores if has_champion is None else has_champion)
    applying = gates.claims_that_apply(has_champion=not is_first)
    lacks = trouble or _too_little(panel.lacks(gates.minimum))
    at, past = look_level(gates), past or {}
    results = [_judged(claim, panel, gates, expected or {}, past) for claim in (() if lacks else applying)]
    design = None if lacks or gates.unit != "row" else design_effect(panel, applying, coarser or {})
    decision, reasons = _decide(results, lacks, "; ".join(filter(None, [doubt, row_trouble(gates, design)])))
    names = {claim.name for claim in applying}
    gained = None if lacks else gain(panel, gates.metric, unit=gates.unit)
    return Verdict(
        decision=decision,
        reasons=reasons,
        claims=tuple(results),
        not_asked=tuple(claim.name for claim in gates.claims if claim.name not in names),
        gate=gate_digest(product),
        level=at,
        alpha=gates.budget.alpha,
        looks=gates.budget.looks,
        unit=gates.unit,
        units=panel.units.count,
        rows=panel.rows,
        is_first=is_first,
        is_better=not lacks and _is_better(gates, panel, past, is_first=is_first),
        guarantee=guarantee(gates, applying, units=panel.units.count),
        gain=gained,
        too_good=too_good(gained, gains),
        design=design,
        windows=1 if panel.windows is None else int(np.unique(panel.windows).size),
    )


def _judged(claim: ClaimSpec, panel: Panel, gates: GateSpec, expected: Expected, past: History) -> ClaimResult:
    level, earlier = look_level(gates), past.get(claim.text)
    return judge_claim(claim, panel, level=level, minimum=gates.minimum, expected=expected, past=earlier)


def _too_little(lacks: str) -> str:
    return f"the test window holds too little to decide: {lacks}" if lacks else ""


def _decide(results: Sequence[ClaimResult], lacks: str, doubt: str) -> tuple[Decision, tuple[str, ...]]:
    if lacks:
        return "INCONCLUSIVE", (lacks,)
    reasons = tuple(f"{result.name}: {result.message}" for result in results if result.outcome != "PASS")
    reasons = (doubt, *reasons) if doubt else reasons
    if any(result.outcome == "FAIL" for result in results):
        return "REJECT", reasons
    if reasons or not any(result.kind == "prove" for result in results):
        return "INCONCLUSIVE", reasons or ("nothing was proven",)
    return "ACCEPT", ()


def _is_better(gates: GateSpec, panel: Panel, past: History, *, is_first: bool) -> bool:
    """Whether each claim against the anchor is proven with 0 in the place of its constant. A first release is an anchor; where
    no claim is about the anchor, it goes along with the champion."""
    if is_first:
        return True
    tests = (
        panel.tested(claim.form.terms, constant=0.0, sign=claim.form.sign, past=past.get(claim.text, {}).get("", ()))
        for claim in about_the_anchor(gates)
    )
    return all(test.p_proof <= look_level(gates) for test in tests)


def about_the_anchor(gates: GateSpec) -> list[ClaimSpec]:
    """The claims that say, with 0 in the place of their constants, that the candidate is better than the anchor."""
    return [claim for claim in gates.claims if claim.kind == "prove" and "anchor" in claim.form.models and not claim.for_each]


def guarantee(gates: GateSpec, claims: Sequence[ClaimSpec], *, units: int) -> str:
    """The promise of an ACCEPT, in one sentence. docs/gates.md has its limits."""
    proofs = [claim for claim in claims if claim.kind == "prove"]
    relative = [claim for claim in proofs if "champion" in claim.form.models]
    claim = (relative or proofs)[0]
    budget, at = gates.budget, look_level(gates)
    over = [f"{_percent(budget.alpha)} over {budget.looks} looks"] if budget.looks > 1 else []
    over += [_over_windows(gates)] if gates.pooled else []
    looks = f" ({', '.join(over)})" if over else ""
    return (
        f"If {_wrong(claim)} on {gates.unit}s like these, it would have been let through with probability at most "
        f"{_percent(at)}{looks}. Unit: {gates.unit}, {units} units. Not covered: what outlasts a window, a "
        f"window that is off as a whole, and the first {gates.unit} of a kind."
    )


def _over_windows(gates: GateSpec) -> str:
    """The promise for a candidate that is kept, over all windows that it may be asked on."""
    assert gates.pooled is not None
    windows = gates.pooled.windows
    return f"{_percent(windows * look_level(gates))} over the {windows} windows that a candidate may be kept for"


def _wrong(claim: ClaimSpec) -> str:
    """That the claim does not hold, in words."""
    form = claim.form
    shape = [(weight, measure.kind, measure.metric, measure.models, measure.column) for weight, measure in form.terms]
    metric = form.measures[0].metric
    other, factor = form.measures[-1].models[0], -form.terms[-1][0]
    if shape == [(1.0, "metric", metric, ("candidate",), ""), (-1.0, "metric", metric, (other,), "")]:
        is_margin = (form.constant <= 0) == (form.sign == ">")
        side = f"worse than the {other} by" if is_margin else f"better than the {other} by less than"
        return f"this candidate were {side} {abs(form.constant):g} {metric}{' or more' if is_margin else ''}"
    if len(shape) == 2 and form.constant == 0 and shape[0] == (1.0, "metric", metric, ("candidate",), "") and factor > 0:
        side = "less" if form.sign == ">" else "more"
        return f"{metric} of this candidate were {factor:g} times that of the {other} or {side}"
    if shape == [(1.0, "metric", metric, ("candidate",), "")]:
        return f"{metric} of this candidate were {form.constant:g} or {'less' if form.sign == '>' else 'more'}"
    return f"it were not true of this candidate that {claim.text}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
