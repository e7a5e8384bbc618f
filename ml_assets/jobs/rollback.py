"""Rolling production back, by the command or by Dagster's job `<product>_rollback`, whether a server runs or not."""

from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from ml_assets.core.release.identity import By
from ml_assets.jobs.decisions import BY
from ml_assets.services.people.permission import require
from ml_assets.spec.product import Product
from resources.endpoints.moves import Endpoints

if TYPE_CHECKING:
    from resources.endpoints.pointer import Pointer


class RollbackConfig(dg.Config):
    """A decision to let an earlier release serve again."""

    by: str = Field(default="", description=BY)
    reason: str = Field(description="Why; it is recorded.")
    to: str = Field(
        default="", description="The release to go back to: its name, or the start of its digest. Empty: the one before."
    )


def roll_back(endpoints: Endpoints, product: Product, *, to: str | None, by: By, reason: str) -> "tuple[Pointer, str]":
    """Let an earlier release serve in production, and ask the server to swap. Returns the new pointer and the server's answer.
    Raises DecisionRefused and NothingToRollBackTo."""
    from ml_assets.services.replicas.notify import notify_server
    from resources.ledger.decisions import signed

    who, why = signed(by, reason, what="rollback")
    require(endpoints.ledger, product, "rollback", by)
    endpoints.settle(product.name, "production")
    pointer = endpoints.rollback(product.name, to=to, by=who, reason=why)
    return pointer, notify_server(endpoints.ledger, product, pointer.release)


def rollback_job(product: Product) -> dg.JobDefinition:
    """`<product>_rollback`: let an earlier release serve in production again."""

    @dg.op(name=f"{product.name}__roll_back")
    def roll_back_production(
        context: dg.OpExecutionContext, config: RollbackConfig, endpoints: dg.ResourceParam[Endpoints]
    ) -> None:
        from ml_assets.services.people.runs import decider

        by = decider(endpoints.ledger, product, context.run.tags, run=context.run_id, typed=config.by)
        pointer, message = roll_back(endpoints, product, to=config.to.strip() or None, by=by, reason=config.reason)
        context.log.info(f"{product.name}: release {pointer.release} serves in production, by {pointer.by}; {message}")

    @dg.job(
        name=f"{product.name}_rollback",
        description="Let an earlier release serve in production again. The one rolled back is not promoted again by itself.",
        tags={"product": product.name},
    )
    def rollback() -> None:
        roll_back_production()

    return rollback
