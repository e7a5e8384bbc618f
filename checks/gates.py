"""The gates: each declared claim about a candidate, and the verdict that follows from all of them."""

from collections.abc import Iterator, Sequence

import dagster as dg

from checks.evidence import Finding, Prover, check_spec
from ml_assets.core.manifests import Manifest
from ml_assets.product import Product
from resources.workspace import Workspace

VERDICT = "gates_passed"
NOT_ASKED = "not asked of a first release: there is no champion"


def build(product: Product) -> list[dg.AssetChecksDefinition]:
    """One blocking check per claim, and one for the verdict."""
    specs = [check_spec(product, "evaluation", VERDICT, "The verdict is ACCEPT.", blocking=True)]
    specs += [
        check_spec(product, "evaluation", claim.name, f"{claim.kind}: {claim.text}", blocking=True)
        for claim in product.gates.claims
    ]
    claims = [spec.name for spec in specs]

    @dg.multi_asset_check(name=f"{product.name}__gates", specs=specs)
    def gates(context: dg.AssetCheckExecutionContext, workspace: dg.ResourceParam[Workspace]) -> Iterator[dg.AssetCheckResult]:
        yield from Prover(workspace, product, "evaluation", claims, __name__).prove(context, _find)

    return [gates]


def _find(evaluation: Manifest) -> Sequence[Finding]:
    verdict = evaluation.facts["verdict"]
    accepted = verdict["decision"] == "ACCEPT"
    short = ", ".join(f"{each['name']} {each['outcome']}" for each in verdict["claims"] if each["outcome"] != "PASS")
    reasons = short or "; ".join(verdict["reasons"])
    told = f"{verdict['decision']}: {reasons}" if reasons else verdict["decision"]
    findings = [Finding(VERDICT, accepted, told), *map(_claim, verdict["claims"])]
    return findings + [Finding(name, True, NOT_ASKED) for name in verdict["not_asked"]]


def _claim(claim: dict[str, object]) -> Finding:
    """An undecided claim is not passed: nothing counts but a PASS."""
    details = {name: claim[name] for name in ("kind", "text", "outcome", "estimate", "low", "high", "limit", "p", "units")}
    return Finding(str(claim["name"]), claim["outcome"] == "PASS", f"{claim['outcome']}: {claim['message']}", details=details)
