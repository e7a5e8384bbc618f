"""What the table of loans must look like; request and features follow from it."""
# ruff: noqa: RUF012 - pandera reads lists and dicts off Config

import pandera.polars as pa


class Loans(pa.DataFrameModel):
    """One loan. Whether it is paid back late is known years later."""

    loan_id: int = pa.Field(ge=1)
    city: str = pa.Field(isin=["Bonn", "Köln", "Ulm"])
    income: float = pa.Field(ge=0, nullable=True)
    is_owner: bool
    amount: int = pa.Field(ge=1, le=100_000)
    is_late: int = pa.Field(nullable=True, isin=[0, 1], metadata={"known": "after"})

    class Config:
        strict = True
        unique = ["loan_id"]
        metadata = {"min_rows": 100, "max_quarantined": 0.05}


TABLES = {"loans": Loans}
