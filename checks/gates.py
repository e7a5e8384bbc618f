"""The gates: each declared claim about a candidate, and the verdict that follows from all of them."""

from collections.abc import Iterator, Sequence

import dagster as dg

from checks.evidence import Finding, Prover, check_spec
from ml_assets.core.manifests import Manifest
from ml_assets.product import Product
from resources.workspace import Workspace

VERDICT = "gates_passed"


def build(product: Product) -> list[dg.AssetChecksDefinition]:
    """One blocking check per claim, and one for the verdict."""
    specs = [check_spec(product, "evaluation", VERDICT, "The verdict is ACCEPT.", blocking=True)]
    specs += [
        check_spec(product, "evaluation", claim.name, f"{claim.metric}: {_limit(claim)}", blocking=True)
        for claim in product.gates.claims
    ]
    claims = [spec.name for spec in specs]

    @dg.multi_asset_check(name=f"{product.name}__gates", specs=specs)
    def gates(context: dg.AssetCheckExecutionContext, workspace: dg.ResourceParam[Workspace]) -> Iterator[dg.AssetCheckResult]:
        yield from Prover(workspace, product, "evaluation", claims, __name__).prove(context, _find)

    return [gates]


def _limit(claim: object) -> str:
    limits = {name: getattr(claim, name) for name in ("margin", "minimum", "maximum")}
    return ", ".join(f"{name} {value}" for name, value in limits.items() if value is not None)


def _find(evaluation: Manifest) -> Sequence[Finding]:
    verdict = evaluation.facts["verdict"]
    accepted = verdict["decision"] == "ACCEPT"
    reasons = "; ".join(verdict["reasons"])
    told = f"{verdict['decision']}: {reasons}" if reasons else verdict["decision"]
    is_first = evaluation.facts["champion"] is None
    return [Finding(VERDICT, accepted, told), *(_claim(claim, is_first=is_first) for claim in verdict["claims"])]


def _claim(claim: dict[str, object], *, is_first: bool) -> Finding:
    """A claim that does not apply is one about a champion, before there is any; nothing else may be without an answer."""
    passed = claim["passed"] is True or (claim["passed"] is None and is_first)
    details = {name: claim[name] for name in ("metric", "value", "limit")}
    return Finding(str(claim["name"]), passed, str(claim["message"]), details=details)
