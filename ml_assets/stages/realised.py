"""realised: what served predictions turned out to be worth, by release. It lets nothing pass."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from ml_assets.core.lineage.facts import RealisedFacts
from ml_assets.core.lineage.reads import has_labels
from ml_assets.services.dagster_ui.metadata import plots, small_table
from ml_assets.services.outcomes.probation import probations
from ml_assets.services.outcomes.scoreboard import HEADER, ScoreboardLine, cells, scoreboard, shown
from ml_assets.services.outcomes.served import make_realised
from ml_assets.services.stale_inputs import refuse_stale
from ml_assets.spec.product import Product
from resources.dagster_assets import RUNS_LAST, declaration, materialized, report_warm_up
from resources.dagster_retries import retried
from resources.lineage import Lineage
from resources.settings import Settings

PROMISES = 10
"""Newest promotions whose promises are shown."""


def build(product: Product) -> list[dg.AssetsDefinition]:
    """The asset of a product that declares `labels`. It is skipped where nothing served the partition."""
    if not has_labels(product):
        return []
    description = "Metrics and value of what served, on the outcomes that came; until then an estimate, marked as one."
    described = declaration(product, "realised", description, kinds={"polars"})

    @dg.asset(**described, output_required=False, op_tags=RUNS_LAST["realised"])
    @retried
    def realised(
        context: dg.AssetExecutionContext, lineage: dg.ResourceParam[Lineage], settings: dg.ResourceParam[Settings]
    ) -> Iterator[dg.MaterializeResult[Any]]:
        from ml_assets.core.plots.style import as_markdown
        from ml_assets.services.outcomes.pictures import pictures

        key = context.partition_key
        refuse_stale(lineage, product, "realised", key)
        result = make_realised(lineage, product, settings, key, run=context.run.run_id)
        if result is None:
            why = "nothing served it that this ledger knows a release of"
            context.log.info(f"{key}: {why}")
            report_warm_up(context, product, ["realised"], key, why)
            return
        lines = [shown(product, key, line, datetime.now(UTC)) for line in RealisedFacts.of(result.manifest).lines]
        metadata: dict[str, Any] = {"served": small_table(list(HEADER), [cells(line) for line in lines])}
        for line in lines[:1]:
            metadata |= _numbers(line)
        every = pictures(scoreboard(lineage, product, datetime.now(UTC)))
        metadata["by_partition"] = dg.MetadataValue.md("\n".join(as_markdown(svg, name=name) for name, svg in every.items()))
        if RealisedFacts.of(result.manifest).lines[0].metrics:
            metadata["plots"] = plots(lineage.snapshots, result.manifest)
        if product.probation:
            probation_states = probations(lineage, product, datetime.now(UTC))
            metadata["promises"] = small_table(
                ["release", "promise", "why"], [[p.release, p.state, p.why] for p in probation_states[-PROMISES:]]
            )
        yield materialized(product, result, metadata)

    return [realised]


def _numbers(line: ScoreboardLine) -> dict[str, float]:
    """The numbers that Dagster plots over partitions."""
    numbers = {
        f"realised_{line.metric}": line.value,
        f"estimated_{line.metric}": line.estimate,
        "value_a_row": line.worth,
        "estimated_value_a_row": line.worth_estimate,
        "outcomes_known": line.coverage,
    }
    return {name: value for name, value in numbers.items() if value is not None}
