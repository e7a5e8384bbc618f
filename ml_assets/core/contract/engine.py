"""The contract engine: delivered frames in; valid rows, refused rows with reasons, and breaches out.

Pandera judges values, on eager frames. Types, missing values, keys and partitions are judged here: pandera names no
rows for them.
"""

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from ml_assets.core.contract import breaches as b
from ml_assets.core.contract.breaches import Breach, ContractBreached
from ml_assets.core.contract.casting import cast, without_nulls_in_words
from ml_assets.core.contract.reading import DeliveryError, read_delivery
from ml_assets.core.contract.schema import (
    CONFLICT,
    ContractError,
    Rules,
    columns_known_after,
    polars_schema,
    quarantined_name,
    request_fields,
    rules_of,
)
from ml_assets.errors import MlAssetsError
from ml_assets.spec.delivery import ReferenceSpec, TableSpec
from ml_assets.spec.product import Product

__all__ = [
    "Breach",
    "ContractBreached",
    "ContractError",
    "DeliveryAudit",
    "DeliveryError",
    "TableAudit",
    "audit",
    "columns_known_after",
    "polars_schema",
    "read_delivery",
    "request_fields",
]

Window = tuple[datetime, datetime]
Masks = dict[str, pl.Series]  # reason code -> the rows that it refuses
_REASONS = {"isin": "isin", "equal_to": "isin", "str_matches": "regex", "str_contains": "regex"} | dict.fromkeys(
    ["greater_than_or_equal_to", "greater_than", "less_than_or_equal_to", "less_than", "in_range"], "range"
)


class RowsLost(MlAssetsError):
    """Valid and refused rows do not add up to the delivered ones: a fault of this engine."""


@dataclass(frozen=True, kw_only=True)
class TableAudit:
    """One delivered table, split. `refused` holds the rows as delivered, with their `reason` and `row` number."""

    valid: pl.DataFrame
    refused: pl.DataFrame

    @property
    def reasons(self) -> dict[str, int]:
        """The number of rows that were refused for each reason."""
        return b.reason_counts(self.refused)


@dataclass(frozen=True, kw_only=True)
class DeliveryAudit:
    """The result of checking a delivery against the contract. A table with wrong columns cannot be split: it is only in
    `breaches`."""

    tables: Mapping[str, TableAudit]
    breaches: tuple[Breach, ...]

    @property
    def ok(self) -> bool:
        """Whether the valid rows may be published."""
        return not self.breaches

    def raise_if_breached(self, *, product: str, partition: str | None) -> None:
        """Raise ContractBreached with all breaches, if there are any."""
        if self.breaches:
            raise ContractBreached(product=product, partition=partition, breaches=self.breaches)


def audit(raw: Mapping[str, pl.DataFrame], *, product: Product, partition_window: Window | None) -> DeliveryAudit:
    """Holds delivered tables to the contract; with a window, every partitioned table must be there and within it."""
    required = product.delivery.tables if partition_window else {}
    breaches = [b.missing_table(name) for name in required if name not in raw]
    tables: dict[str, TableAudit] = {}
    for name, frame in raw.items():
        spec, rules = product.table(name), rules_of(product.contract.TABLES[name])
        if wrong_columns := b.column_breaches(frame.columns, table=name, rules=rules):
            breaches += wrong_columns
            continue
        tables[name], table_breaches = _audit_table(frame, name=name, spec=spec, rules=rules, window=partition_window)
        breaches += table_breaches
    return DeliveryAudit(tables=tables, breaches=tuple(breaches))


def _audit_table(
    raw: pl.DataFrame, *, name: str, spec: TableSpec | ReferenceSpec, rules: Rules, window: Window | None
) -> tuple[TableAudit, list[Breach]]:
    worded = raw.select(without_nulls_in_words(raw[column], null_values=spec.null_values) for column in rules.dtypes)
    frame = worded.select(cast(worded[column], dtype, table=spec) for column, dtype in rules.dtypes.items())
    time = spec.time if isinstance(spec, TableSpec) else None
    masks = _type_masks(worded, frame) | _missing_masks(worded, rules=rules, time=time)
    check_masks, breaches = _check_masks(frame, rules=rules, table=name)
    masks |= check_masks
    foreign: list[Breach] = []
    if time and window:
        outside = _outside(frame[time], window=window)
        masks[f"{time}.partition"] = outside
        foreign = b.partition_breach(outside, times=frame[time], window=window, column=time, table=name)
    masks |= _key_masks(frame, rules=rules, refused=_any(masks, rows=raw.height))
    table = _split(raw, frame, masks=masks, table=name)
    for column in rules.max_missing:
        breaches += b.missing_breach(worded[column].is_null(), column=column, table=name, rules=rules)
    return table, breaches + (foreign or _volume_breaches(table, rows=raw.height, name=name, rules=rules))


def _volume_breaches(table: TableAudit, *, rows: int, name: str, rules: Rules) -> list[Breach]:
    too_few = b.row_breach(rows=rows, valid=table.valid.height, table=name, rules=rules)
    return too_few + b.quarantine_breach(table.refused, rows=rows, table=name, rules=rules)


def _type_masks(worded: pl.DataFrame, frame: pl.DataFrame) -> Masks:
    return {
        f"{c}.type": worded[c].is_not_null() & frame[c].is_null()
        for c in frame.columns
        if frame[c].null_count() > worded[c].null_count()
    }


def _missing_masks(worded: pl.DataFrame, *, rules: Rules, time: str | None) -> Masks:
    """Missing values where the contract allows none; a row without its time is of no partition. What is known only after the
    event may be missing as a whole: it is not known yet. Missing in a part of the rows, it is a fault as elsewhere."""
    awaited = {c for c in rules.known_after if c in worded.columns and worded[c].null_count() == worded.height}
    return {
        f"{c}.missing": worded[c].is_null()
        for c in worded.columns
        if (c not in rules.nullable | awaited or c == time) and worded[c].null_count()
    }


def _outside(times: pl.Series, *, window: Window) -> pl.Series:
    return ~((times >= window[0]) & (times < window[1])).fill_null(True)


def _key_masks(frame: pl.DataFrame, *, rules: Rules, refused: pl.Series) -> Masks:
    """Repeats of an earlier row, and all rows of a key whose values differ. Rows refused for another reason take no key."""
    others = (~refused).arg_true()
    rows = frame[others]
    conflicts = {reason: _in_conflict(rows, key=key) for reason, key in rules.keys.items()}
    masks = {f"{reason}{CONFLICT}": mask for reason, mask in conflicts.items()}
    if masks:
        repeats = ~rows.select(pl.struct(pl.all()).is_first_distinct()).to_series()
        masks[next(iter(conflicts))] = repeats & ~_any(conflicts, rows=rows.height)  # a repeated row repeats every key
    return {reason: _at(others.filter(mask), rows=frame.height) for reason, mask in masks.items() if mask.any()}


def _in_conflict(rows: pl.DataFrame, *, key: Sequence[str]) -> pl.Series:
    """Whether a row's key has more rows than the row has copies. Missing values are equal, as they are to pandera."""
    if not rows.select(key).is_duplicated().any():
        return pl.repeat(False, rows.height, eager=True)
    return rows.select(pl.len().over(key) > pl.len().over(rows.columns)).to_series()


def _at(places: pl.Series, *, rows: int) -> pl.Series:
    return pl.repeat(False, rows, eager=True).scatter(places, True)


def _check_masks(frame: pl.DataFrame, *, rules: Rules, table: str) -> tuple[Masks, list[Breach]]:
    """Pandera's verdict: a mask for each check that judges rows, a breach for each that judges the whole."""
    masks: Masks = {}
    wide = frame.height > b.MOST_CHECKED and "partition" in rules.scopes.values()
    breaches: list[Breach] = [b.too_many_rows_breach(rows=frame.height, table=table, rules=rules)] if wide else []
    for error in _schema_errors(frame, rules=rules, is_narrow=wide):
        if error.reason_code.name != "DATAFRAME_CHECK":
            raise ContractError(f"{table}: the check '{error.check}' of {rules.model} cannot be run: {error}")
        column = error.schema.name if error.schema.name in rules.dtypes else None
        check = re.sub(r"\W+", "_", str(error.check.name or "check")).strip("_")
        passed = error.check_output["check_output"].fill_null(True)
        scope = None if column else rules.scopes[error.check.name]
        if scope == "rows" and len(passed) != frame.height:
            raise ContractError(
                f"{table}: the check '{check}' of {rules.model} has the scope rows and judged {len(passed)} of {frame.height} "
                f'rows: select one boolean a row, or give it scope="partition"'
            )
        if scope == "partition" or len(passed) != frame.height:
            breaches.append(b.check_breach(check=check, column=column, table=table, failed=~passed))
            continue
        reason = f"{column}.{_REASONS.get(check, check)}" if column else check
        masks[reason] = masks[reason] | ~passed if reason in masks else ~passed
    return masks, breaches


def _schema_errors(frame: pl.DataFrame, *, rules: Rules, is_narrow: bool = False) -> Sequence[Any]:
    """The failures that pandera finds; with `is_narrow` without the checks that judge a whole partition."""
    from pandera.config import ValidationDepth, config_context
    from pandera.errors import SchemaErrors

    checks = rules.checks
    if is_narrow:
        checks = copy.copy(checks)
        checks.checks = [check for check in checks.checks if rules.scopes[check.name] == "rows"]
    with config_context(validation_enabled=True, validation_depth=ValidationDepth.SCHEMA_AND_DATA):
        try:
            checks.validate(frame, lazy=True)
        except SchemaErrors as errors:
            return list(errors.schema_errors)
    return []


def _split(raw: pl.DataFrame, frame: pl.DataFrame, *, masks: Masks, table: str) -> TableAudit:
    refused = _any(masks, rows=raw.height)
    reason = (
        pl.concat_str([pl.when(masks[r]).then(pl.lit(r)) for r in sorted(masks)], separator=",", ignore_nulls=True)
        if masks
        else pl.lit("")
    )
    values = raw.rename({name: quarantined_name(name) for name in raw.columns})
    labelled = values.with_columns(reason.alias("reason")).with_row_index("row").with_columns(pl.col("row").cast(pl.Int64))
    split = TableAudit(valid=frame.filter(~refused), refused=labelled.filter(refused).select(*values.columns, "reason", "row"))
    if split.valid.height + split.refused.height != raw.height:
        raise RowsLost(f"{table}: {raw.height} rows delivered, {split.valid.height} valid and {split.refused.height} refused")
    return split


def _any(masks: Masks, *, rows: int) -> pl.Series:
    refused = pl.repeat(False, rows, eager=True)
    for mask in masks.values():
        refused = refused | mask
    return refused
