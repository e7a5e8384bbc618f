"""The section `delivery` of product.yaml: the tables of the source, and how their files are written."""

import re
from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from ml_assets.spec.base_section import Name, Section

EPOCHS: Mapping[str, int] = {"epoch_s": 1_000_000, "epoch_ms": 1000, "epoch_us": 1}
"""Formats of times that are numbers, each with its unit in microseconds."""
_FORMAT = re.compile(r"%[YyFDc].*%|%[FDc]|%.*%[Yy]")
_RESERVED_TABLES = {"partition"}


class ReferenceSpec(Section):
    """A table that is delivered whole, whenever it changes."""

    format: Literal["csv", "parquet"]
    null_values: tuple[str, ...] = ("",)
    later: ClassVar[frozenset[str]] = frozenset({"separator", "encoding", "compression", "quote", "decimal", "datetime_format"})
    separator: str = Field(default=",", min_length=1, max_length=1, pattern=r"^[\t -!#-~]$")
    encoding: str = "utf-8"
    compression: Literal["none", "gzip", "zstd"] = "none"
    quote: str = Field(default='"', max_length=1, pattern=r"^[!-~]?$")
    decimal: Literal[".", ","] = "."
    datetime_format: str = "iso"

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, encoding: str) -> str:
        try:
            "a".encode(encoding)
        except (LookupError, ValueError):
            allowed = "utf-8, utf-16, latin-1, cp1252, and others that Python knows"
            raise ValueError(f"'{encoding}' is not an encoding; allowed: {allowed}") from None
        return encoding.lower()

    @field_validator("datetime_format")
    @classmethod
    def _is_a_format(cls, written: str) -> str:
        if written not in ("iso", *EPOCHS) and not _FORMAT.search(written):
            allowed = f'iso, {", ".join(EPOCHS)}, or a format such as "%d/%m/%Y %H:%M"'
            raise ValueError(f"'{written}' is not a format of a date or time; allowed: {allowed}")
        return written


class TableSpec(ReferenceSpec):
    """A table that is delivered per partition; `time` is the column that says which partition a row is of ("": a static one)."""

    time: str = ""


class DeliverySpec(Section):
    """The tables that the source delivers: per partition, or whole when they change."""

    tables: dict[Name, TableSpec] = Field(min_length=1)
    reference: dict[Name, ReferenceSpec] = Field(default={})

    @model_validator(mode="after")
    def _names_are_free(self) -> Self:
        if twice := sorted(self.tables.keys() & self.reference.keys()):
            raise ValueError(f"{', '.join(twice)}: a table is either under tables or under reference, not both")
        if reserved := sorted((self.tables.keys() | self.reference.keys()) & _RESERVED_TABLES):
            raise ValueError(f"{', '.join(reserved)}: the name is taken by a relation that the project makes")
        return self
