"""The rows of a partition that its contract refuses, whether or not the rest of the delivery was published."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ml_assets.core.contract.schema import QUARANTINE_COLUMNS, quarantined_name
from ml_assets.errors import MlAssetsError
from ml_assets.spec.product import Product
from resources.lineage import Lineage

if TYPE_CHECKING:
    import polars as pl


class NothingRead(MlAssetsError):
    """The partition has no rows that a contract could refuse."""


@dataclass(frozen=True)
class RefusedRows:
    """The refused rows of one table as they were delivered, with `row` (from 0) and `reason`. `limit`: the largest share of rows
    that may be refused; `breaches`: why the whole delivery is not published."""

    table: str
    rows: "pl.DataFrame"
    reasons: Mapping[str, int]
    delivered: int
    limit: float
    breaches: Sequence[str]

    @property
    def share(self) -> float:
        """The share of the delivered rows that was refused."""
        return self.rows.height / self.delivered

    def values(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The values that the row's reasons are about; of a reason about several columns, all of the row."""
        about = (quarantined_name(reason.partition(".")[0]) for reason in row["reason"].split(","))
        named = [name for name in about if name in self.rows.columns]
        return {name: row[name] for name in named or self.rows.columns if name not in QUARANTINE_COLUMNS}


def refused_rows(lineage: Lineage, product: Product, partition: str) -> list[RefusedRows]:
    """Hold what was read of the partition against today's contract. Raises NothingRead where nothing was."""
    from ml_assets.builders.dataset import audited
    from ml_assets.core.contract.schema import rules_of

    raw = lineage.ledger.current(product.name, "raw", partition)
    if raw is None:
        command = f"`ml-assets run {product.name} --partition {partition}` reads it"
        raise NothingRead(f"{product.name} {partition}: nothing is read of it yet; {command}, when it is delivered")
    audit, counts = audited(lineage.handle(raw), product, partition), raw.facts["rows"]
    return [
        RefusedRows(
            table=name,
            rows=table.refused,
            reasons=table.reasons if table.refused.height else {},
            delivered=counts[name],
            limit=rules_of(product.contract.TABLES[name]).max_quarantined,
            breaches=[breach.message for breach in audit.breaches if breach.table == name],
        )
        for name, table in audit.tables.items()
    ]
