"""The jobs by which people decide in Dagster's Launchpad: `<product>_approve` and `<product>_override`.

An op records the decision and nothing else; the sensor of decisions then launches `<product>_release`, in which it takes effect.
"""

from typing import Any

import dagster as dg
from pydantic import Field

from ml_assets.core.release.identity import name_of
from ml_assets.spec.product import Product
from resources.lineage import Lineage

BY = "Who decides, which is recorded; left out, and passed over, where Dagster is behind a proxy that knows who it is."


class ApproveConfig(dg.Config):
    """A decision about a release that waits for approval."""

    release: str = Field(description="The release that waits: its name, or the start of its digest.")
    by: str = Field(default="", description=BY)
    reason: str = Field(description="Why; it is recorded.")
    refuse: bool = Field(default=False, description="Refuse it instead; that is final for this release.")


class OverrideConfig(dg.Config):
    """A decision to release a candidate in spite of its verdict."""

    partition: str = Field(description="The partition whose evaluation is overridden.")
    by: str = Field(default="", description=BY)
    reason: str = Field(description="Why; it is recorded, and shown with the release.")


def approve_job(product: Product) -> dg.JobDefinition:
    """`<product>_approve`: approve or refuse a release that waits."""

    @dg.op(name=f"{product.name}__record_approval")
    def record_approval(context: dg.OpExecutionContext, config: ApproveConfig, lineage: dg.ResourceParam[Lineage]) -> None:
        from ml_assets.services.people.runs import decider
        from ml_assets.services.release_status import answer

        decision: Any = "refused" if config.refuse else "approved"
        by = decider(lineage.ledger, product, context.run.tags, run=context.run_id, typed=config.by)
        status, _ = answer(lineage, product, config.release, decision=decision, by=by, reason=config.reason, via="dagster")
        message = "; ".join(status.decision.reasons) or f"the release run of {status.release.partition} is next"
        context.log.info(f"{product.name}: release {status.name} {decision} by {name_of(by)}; {message}")

    @dg.job(
        name=f"{product.name}_approve",
        description="Approve, or refuse, a release that waits for a person. Its model card is in the release's metadata.",
        tags={"product": product.name},
    )
    def approve() -> None:
        record_approval()

    return approve


def override_job(product: Product) -> dg.JobDefinition:
    """`<product>_override`: override the verdict of a partition."""

    @dg.op(name=f"{product.name}__record_override")
    def record_override(context: dg.OpExecutionContext, config: OverrideConfig, lineage: dg.ResourceParam[Lineage]) -> None:
        from ml_assets.services.people.runs import decider
        from ml_assets.services.release_status import overrule

        by = decider(lineage.ledger, product, context.run.tags, run=context.run_id, typed=config.by)
        entry = overrule(lineage, product, config.partition, by=by, reason=config.reason, via="dagster")
        context.log.info(f"{product.name} {config.partition}: {name_of(by)} overrode: {'; '.join(entry.body.reasons)}")

    @dg.job(
        name=f"{product.name}_override",
        description="Release the candidate of a partition in spite of its verdict: a separate, named, recorded act.",
        tags={"product": product.name},
    )
    def override() -> None:
        record_override()

    return override
