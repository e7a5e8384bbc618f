"""What a day of orders must look like, what a client asks with, and what the model sees."""
# ruff: noqa: RUF012 - pandera reads lists and dicts off Config

from datetime import datetime

import pandera.polars as pa


class Orders(pa.DataFrameModel):
    """The orders of one day. Whether one came back is known weeks later."""

    id: str
    placed_at: datetime
    city: str
    amount: float = pa.Field(nullable=True)
    items: int = pa.Field(nullable=True)
    came_back: int = pa.Field(nullable=True, isin=[0, 1], metadata={"known": "after"})

    class Config:
        strict = True
        unique = ["id"]
        metadata = {"min_rows": 5, "max_quarantined": 0.2}


class Request(pa.DataFrameModel):
    """An order, when it is placed."""

    id: str
    placed_at: datetime
    city: str
    amount: float = pa.Field(nullable=True)
    items: int = pa.Field(nullable=True)

    class Config:
        strict = True
        unique = ["id"]


class Features(pa.DataFrameModel):
    """The model's input: key, time, then its columns in the order that the model knows them."""

    id: str
    placed_at: datetime
    city: str
    amount: float = pa.Field(nullable=True)
    items: int = pa.Field(nullable=True)
    hour: int = pa.Field(ge=0, le=23)

    class Config:
        strict = True
        unique = ["id"]


TABLES = {"orders": Orders}
