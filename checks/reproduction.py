"""A release is reproducible: its model comes out of its recorded features again, in a clean process.

It costs a fit, so the path's job leaves it out: it runs with `ml-assets check`, in CI and in the job of checks. Nothing
waits for it, so it does not block.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import dagster as dg

from checks.evidence import check_spec, proven
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.errors import MlAssetsError
from ml_assets.services.claims import REPRODUCIBLE
from ml_assets.services.evidence import Finding, Proof
from ml_assets.spec.product import Product
from resources.dagster_retries import retried
from resources.ledger.ledger import Ledger
from resources.settings import Settings

MOST_SECONDS = 1800
OF_ITSELF = {"row order", "data", "not deterministic"}
"""Causes that no one declared; everything else is a change of code, configuration or libraries since the release."""

PROOF = Proof("release", (REPRODUCIBLE,), (f"{__name__}:_finding",), is_reused=False)
"""Evidence is never reused: the code that decides is outside the release's own stage, and may have changed since."""


class NotTried(MlAssetsError):
    """The process that rebuilds came to no result: no finding, neither good nor bad."""


def build(product: Product) -> list[dg.AssetChecksDefinition]:
    """The reproduction check of a release."""
    about = "A rebuild from its recorded features gives the same model and the same predictions."
    spec = check_spec(product, "release", REPRODUCIBLE, about, blocking=False)

    @dg.multi_asset_check(name=f"{product.name}__reproducible", specs=[spec])
    @retried
    def reproducible(
        context: dg.AssetCheckExecutionContext, ledger: dg.ResourceParam[Ledger], settings: dg.ResourceParam[Settings]
    ) -> Iterator[dg.AssetCheckResult]:
        yield from proven(context, ledger, product, PROOF, lambda release: [_reproduce(settings, release)])

    return [reproducible]


def _reproduce(settings: Settings, release: Manifest) -> Finding:
    command = [sys.executable, "-m", "ml_assets", "reproduce", release.id, "--from", "features", "--json"]
    environ = {**os.environ, **settings.environ()}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=MOST_SECONDS, check=False)
    if not done.stdout:
        raise NotTried(f"{release.asset} {release.partition}: could not be rebuilt and compared: {done.stderr.strip()[-500:]}")
    return _finding(json.loads(done.stdout))


def _finding(outcome: dict[str, Any]) -> Finding:
    """A difference that somebody declared since is a warning: the next run makes another release. Any other is an error."""
    details = {"seconds": outcome["seconds"], "from": outcome["from"]}
    if outcome["equal"]:
        changed = f"; without effect: {'; '.join(outcome['without_effect'])}" if outcome["without_effect"] else ""
        rows = sum(scores["rows"] for scores in outcome["predictions"].values())
        return Finding(REPRODUCIBLE, True, f"the same model and the same {rows} scores{changed}", details=details)
    first = outcome["first"]
    if first is None:
        return Finding(REPRODUCIBLE, False, "the same model gives other scores", details=details)
    causes = "; ".join(f"{cause['kind']}: {cause['told']}" for cause in first["causes"])
    is_declared = not OF_ITSELF & {cause["kind"] for cause in first["causes"]}
    description = f"{first['stage']} {first['partition']} differs: {causes}"
    return Finding(REPRODUCIBLE, False, description, "WARN" if is_declared else "ERROR", details)
