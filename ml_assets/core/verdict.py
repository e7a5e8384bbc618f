"""The decision: may this candidate answer? Every comparison is written so that NaN fails it.

Belongs here: claims against point estimates of one evaluation. Does not: measuring (evaluation.py).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any, Literal, Protocol, TypeAlias

from ml_assets.core.evaluation_result import Comparison, Evaluation
from ml_assets.core.intervals import finite_or_none
from ml_assets.core.metrics import METRICS
from ml_assets.errors import MlAssetsError

Decision: TypeAlias = Literal["ACCEPT", "REJECT", "INCONCLUSIVE"]


class VerdictError(MlAssetsError):
    """Claims that cannot be judged: our configuration is wrong, not the candidate."""


class ClaimLike(Protocol):
    """What a claim of product.yaml says: exactly one of margin, minimum and maximum."""

    @property
    def name(self) -> str: ...
    @property
    def metric(self) -> str: ...
    @property
    def margin(self) -> float | None: ...
    @property
    def minimum(self) -> float | None: ...
    @property
    def maximum(self) -> float | None: ...


@dataclass(frozen=True, kw_only=True)
class ClaimResult:
    """One claim, judged. `passed` is None where the claim does not apply; it never counts as a pass.

    `value` is the number held against `limit`: for a margin, by how much the candidate is better (negative: worse).
    """

    name: str
    metric: str
    passed: bool | None
    value: float
    limit: float
    message: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """ACCEPT only when something was proven and nothing failed; otherwise every reason why not."""

    decision: Decision
    reasons: tuple[str, ...]
    claims: tuple[ClaimResult, ...]

    @property
    def is_accept(self) -> bool:
        return self.decision == "ACCEPT"

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; a value that is not finite is null."""
        claims = [asdict(each) | {"value": finite_or_none(each.value)} for each in self.claims]
        return {"decision": self.decision, "reasons": list(self.reasons), "claims": claims}


def judge(evaluation: Evaluation, claims: Sequence[ClaimLike], *, has_champion: bool) -> Verdict:
    """Hold every claim against the evaluation.

    Without a champion (a first release) margin claims do not apply, and an absolute claim has to pass.
    """
    _check(claims)
    if evaluation.has_champion and not has_champion:
        raise VerdictError("the evaluation scored a champion, but none is said to answer: evaluate again")
    results = tuple(_judge(evaluation.comparison(claim.metric), claim, has_champion=has_champion) for claim in claims)
    failures = (
        *_undefined(evaluation),
        *(f"{each.name}: {each.message}" for each in results if each.passed is not None and not each.passed),
    )
    if failures:
        return Verdict(decision="REJECT", reasons=failures, claims=results)
    if not any(each.passed for each in results):
        return Verdict(decision="INCONCLUSIVE", reasons=(_nothing_proven(has_champion),), claims=results)
    return Verdict(decision="ACCEPT", reasons=(), claims=results)


def _nothing_proven(has_champion: bool) -> str:
    if has_champion:
        return "no claim passed, so nothing was proven: declare a claim under gates.claims"
    return "first release: no absolute claim passed; declare one with minimum or maximum under gates.claims"


def _check(claims: Sequence[ClaimLike]) -> None:
    names = [claim.name for claim in claims]
    if len(set(names)) < len(names):
        raise VerdictError(f"claims {names}: two have one name, so one of them would go unseen")
    for claim in claims:
        limits = [each for each in (claim.margin, claim.minimum, claim.maximum) if each is not None]
        if len(limits) != 1 or not isfinite(limits[0]):
            raise VerdictError(f"claim {claim.name}: needs exactly one finite margin, minimum or maximum; has {limits}")
        if claim.margin is not None and not claim.margin >= 0:
            raise VerdictError(f"claim {claim.name}: margin {claim.margin} must be 0 or more")


def _undefined(evaluation: Evaluation) -> tuple[str, ...]:
    """Every overall value that is not a finite number: what could not be measured was not proven."""
    return tuple(
        f"{each.metric} of the {model} is not a finite number{f' ({estimate.note})' if estimate.note else ''}"
        for each in evaluation.overall
        for model, estimate in each.estimates.items()
        if not isfinite(estimate.value)
    )


def _judge(comparison: Comparison | None, claim: ClaimLike, *, has_champion: bool) -> ClaimResult:
    if claim.margin is not None:
        return _judge_margin(comparison, claim, claim.margin, has_champion=has_champion)
    if comparison is None:
        return _result(claim, False, float("nan"), _limit(claim), f"{claim.metric} was not measured")
    value, limit = comparison.candidate.value, _limit(claim)
    is_floor = claim.minimum is not None
    passed = isfinite(value) and (value >= limit if is_floor else value <= limit)
    rule = "at least" if is_floor else "at most"
    return _result(claim, passed, value, limit, f"{claim.metric} is {value:.6g}, must be {rule} {limit:g}")


def _judge_margin(comparison: Comparison | None, claim: ClaimLike, margin: float, *, has_champion: bool) -> ClaimResult:
    nan = float("nan")
    if not has_champion:
        return _result(claim, None, nan, -margin, "not applicable: first release, there is no champion")
    if comparison is None or comparison.champion is None:
        return _result(claim, False, nan, -margin, f"{claim.metric} of the champion was not measured on these rows")
    candidate, champion = comparison.candidate.value, comparison.champion.value
    advantage = METRICS[claim.metric].advantage(candidate, champion)
    passed = isfinite(candidate) and isfinite(champion) and advantage >= -margin
    side = "better" if advantage >= 0 else "worse"
    size = f"{abs(advantage):.6g} {side}" if isfinite(advantage) else "not comparable"
    message = f"{claim.metric} is {candidate:.6g}, the champion's {champion:.6g}: {size}, may be at most {margin:g} worse"
    return _result(claim, passed, advantage, -margin, message)


def _limit(claim: ClaimLike) -> float:
    limit = claim.minimum if claim.minimum is not None else claim.maximum
    return float("nan") if limit is None else limit


def _result(claim: ClaimLike, passed: bool | None, value: float, limit: float, message: str) -> ClaimResult:
    return ClaimResult(name=claim.name, metric=claim.metric, passed=passed, value=value, limit=limit, message=message)
