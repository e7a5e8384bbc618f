"""`<product>_extract`: ask a declared source for one partition, and deliver what it answers; that launches the path."""

import dagster as dg
from pydantic import Field

from ml_assets.spec.product import Product
from resources.dagster_retries import retried
from resources.landing import Landing
from resources.lineage import Lineage


class Extract(dg.Config):
    """The query or URL that a source is asked with."""

    table: str = Field(description="The table whose source in product.yaml is asked.")
    partition: str = Field(default="", description="The partition; none for a static or a reference table.")
    state: str | None = Field(default=None, description="What the source had when it was seen to be due; left out by people.")
    again: bool = Field(default=False, description="Ask although it was asked for before.")


def extract_job(product: Product) -> dg.JobDefinition:
    """The job of a product that declares sources."""

    @dg.op(name=f"{product.name}__extract")
    @retried
    def extract(
        context: dg.OpExecutionContext, config: Extract, landing: dg.ResourceParam[Landing], lineage: dg.ResourceParam[Lineage]
    ) -> None:
        from ml_assets.services.extraction.table_source import TableSource

        source = TableSource(product, config.table, landing, lineage.ledger, context.instance)
        done = source.extract(config.partition, state=config.state, again=config.again)
        record = done.record
        message = "delivered" if done.is_new else "the same rows as before"
        context.log.info(f"{product.name}: {config.table} {record.partition}: {record.rows:,} rows, {record.content}: {message}")
        context.add_output_metadata({"rows": record.rows, "digest": record.content, "partition": record.partition})

    @dg.job(
        name=f"{product.name}_extract",
        description="Ask a declared source for one partition, and deliver what it answers.",
        tags={"product": product.name},
        executor_def=dg.in_process_executor,
    )
    def extraction() -> None:
        extract()

    return extraction
