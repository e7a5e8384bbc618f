"""monitoring: a new partition against the release that served when it came in."""

import json
from collections.abc import Iterator
from typing import Any

import dagster as dg

from ml_assets.core.lineage.facts import MonitoringFacts, ReleaseFacts
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.services.dagster_ui.metadata import pictures, plots, small_table
from ml_assets.services.scored_partition import scored_partition
from ml_assets.spec.product import Product
from resources.dagster_assets import RUNS_LAST, declaration, materialized
from resources.dagster_retries import retried
from resources.lineage import Lineage
from resources.store.snapshots import Snapshots


def build(product: Product) -> list[dg.AssetsDefinition]:
    """The monitoring asset. It hangs on features alone, so that a withheld candidate does not blind it; it is skipped while no
    release has served."""
    description = "Data drift, prediction drift and realised metrics of the release that served."

    described = declaration(product, "monitoring", description, kinds={"polars"})

    @dg.asset(**described, output_required=False, op_tags=RUNS_LAST["monitoring"])
    @retried
    def monitoring(context: dg.AssetExecutionContext, lineage: dg.ResourceParam[Lineage]) -> Iterator[dg.MaterializeResult[Any]]:
        from ml_assets.builders.monitoring import build

        if (scored := scored_partition(context, lineage, product, "monitoring", build)) is not None:
            result, release = scored
            yield materialized(product, result, _metadata(lineage.snapshots, release, result.manifest))

    return [monitoring]


def _metadata(snapshots: Snapshots, champion: Manifest, manifest: Manifest) -> dict[str, Any]:
    facts, snapshot = MonitoringFacts.of(manifest), snapshots.open(manifest.snapshot)
    drift = json.loads(snapshots.read(manifest.snapshot, "drift.json"))
    is_known = "metrics.json" in snapshot.members
    measured = pictures(json.loads(snapshots.read(manifest.snapshot, "metrics.json"))) if is_known else {}
    values = {name: by_role["candidate"].value for name, by_role in (facts.metrics or {}).items()}
    return {
        "release": ReleaseFacts.of(champion).release,
        "psi_above_its_line": ", ".join(facts.drifted) or "none",  # it informs; the verdict is the check columns_stable
        "drift": small_table(["column", "PSI"], [[c["column"], f"{c['psi']:.3f}"] for c in drift["columns"][:15]]),
        **measured,
        "plots": plots(snapshots, manifest),
        "score_psi": facts.score_psi,
        "rows": facts.rows,
        **{f"realised_{name}": value for name, value in values.items() if value is not None},
    }
