"""The ways in which a delivery as a whole breaks its contract, as values with a message.

Row-level reasons do not belong here: they quarantine a row and are not breach.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import polars as pl

from ml_assets.core.contract.refused_value_hints import hint
from ml_assets.core.contract.schema import CONFLICT, Rules, quarantined_name
from ml_assets.errors import MlAssetsError
from ml_assets.spec.yaml_file import unknown_name

BreachCode = Literal[
    "missing_table",
    "missing_column",
    "unknown_column",
    "too_few_rows",
    "missing_rate",
    "quarantined",
    "wrong_partition",
    "check",
]
_EXAMPLES = 5
_VALUES, _LONGEST = 3, 40
"""Values of a reason that are shown, and how many characters of each."""
_LONGEST_LIST = 300
"""Characters of the names of columns that are delivered beyond the contract: said once, and a header may be all one name."""
MOST_CHECKED = 5_000_000
"""Rows of a table on which checks of a whole partition are run: they hold all of it in memory at once."""
MOST = 0.5  # a delivery with more rows than this outside its partition is one for another partition


@dataclass(frozen=True, kw_only=True)
class Breach:
    """One reason why a delivery is not published."""

    code: BreachCode
    table: str
    column: str | None = None
    value: float | str | None = None
    limit: float | str | None = None
    message: str
    examples: tuple[int, ...] = ()


class ContractBreached(MlAssetsError):
    """A delivery that is not published; lists every breach."""

    def __init__(self, *, product: str, partition: str | None, breaches: Sequence[Breach]) -> None:
        """Compose the message from all breaches, and the command that shows the rows."""
        self.product, self.partition, self.breaches = product, partition, tuple(breaches)
        what = f"{product} {partition}" if partition else product
        command = f"ml-assets check {product}" + (f" --partition {partition}" if partition else "")
        lines = [
            f"{what}: the delivery breaks its contract and is not published",
            *(f"  - {b.message}" for b in breaches),
        ]
        if partition and any(breach.code == "quarantined" for breach in breaches):
            lines.append(f"The refused rows: ml-assets quarantine {product} --partition {partition}")
        super().__init__("\n".join([*lines, f"Deliver it again, then: {command}"]))


def missing_table(table: str) -> Breach:
    """The breach of a delivery that lacks a whole table."""
    return Breach(code="missing_table", table=table, message=f"{table}: the table is not in the delivery")


def column_breaches(columns: Sequence[str], *, table: str, rules: Rules) -> list[Breach]:
    """Columns that the contract has and the delivery has not, and the other way round (a renamed column is both)."""
    missing = [name for name in rules.dtypes if name not in columns]
    extra = [] if rules.drops_extra_columns else [name for name in columns if name not in rules.dtypes]
    beyond = f"; delivered beyond the contract: {', '.join(extra)}"[:_LONGEST_LIST] if extra else ""
    also = beyond + f"; the contract {rules.model} needs {', '.join(rules.dtypes)}"[:_LONGEST_LIST]
    absent = [_absent(name, table=table, also="" if number else also) for number, name in enumerate(missing)]
    return absent + [_unknown(name, table=table, rules=rules, allowed=missing or list(rules.dtypes)) for name in extra]


def _absent(name: str, *, table: str, also: str) -> Breach:
    message = f"{table}: column '{name}' is missing{also}"
    return Breach(code="missing_column", table=table, column=name, value="absent", limit="present", message=message)


def _unknown(name: str, *, table: str, rules: Rules, allowed: Sequence[str]) -> Breach:
    hint = unknown_name(name, allowed=allowed)
    message = f"{table}: column '{name}' is not in the contract {rules.model}; {hint}"
    return Breach(code="unknown_column", table=table, column=name, value="present", limit="absent", message=message)


def row_breach(*, rows: int, valid: int, table: str, rules: Rules) -> list[Breach]:
    """Fewer valid rows than the contract promises; an empty table always is one."""
    if valid >= rules.min_rows:
        return []
    message = f"{table}: {valid:,} valid rows of {rows:,} delivered, at least {rules.min_rows:,} needed"
    return [Breach(code="too_few_rows", table=table, value=valid, limit=rules.min_rows, message=message)]


def missing_breach(missing: pl.Series, *, column: str, table: str, rules: Rules) -> list[Breach]:
    """A larger share of a column missing than the contract allows."""
    share, limit = _share(missing), rules.max_missing[column]
    if share <= limit:
        return []
    rows = examples(missing)
    message = f"{table}: column '{column}' is missing {percent(share)} of values, limit {percent(limit)} ({_eg(rows)})"
    return [Breach(code="missing_rate", table=table, column=column, value=share, limit=limit, message=message, examples=rows)]


def quarantine_breach(refused: pl.DataFrame, *, rows: int, table: str, rules: Rules) -> list[Breach]:
    """A larger share of rows refused than the contract allows. The message names the three most frequent reasons and
    every conflict: it takes a correction at the source, and refuses twice as many rows as a repeat."""
    share = refused.height / rows if rows else 0.0
    if share <= rules.max_quarantined:
        return []
    numbers = tuple(refused["row"].head(_EXAMPLES).to_list())
    counts = list(reason_counts(refused).items())
    named = counts[:3] + [count for count in counts[3:] if count[0].endswith(CONFLICT)]
    why = ", ".join(f"{reason} {count:,}{_shown(refused, reason, rules)}" for reason, count in named)
    message = f"{table}: {percent(share)} of rows are refused, limit {percent(rules.max_quarantined)}: {why} ({_eg(numbers)})"
    return [Breach(code="quarantined", table=table, value=share, limit=rules.max_quarantined, message=message, examples=numbers)]


def _shown(refused: pl.DataFrame, reason: str, rules: Rules) -> str:
    """The first values that a reason refused, and what they seem to be; empty for a reason that is of no single column."""
    column, _, why = reason.partition(".")
    if column not in rules.dtypes or why == "missing":
        return ""
    of_reason = refused.filter(pl.col("reason").str.split(",").list.contains(reason))[quarantined_name(column)]
    values = of_reason.drop_nulls().unique(maintain_order=True).head(_VALUES).to_list()
    seems = hint(values, rules.dtypes[column]) if why == "type" else ""
    shown = ", ".join(repr(value)[:_LONGEST] if isinstance(value, str) else str(value)[:_LONGEST] for value in values)
    return f" ({shown}{f': {seems}' if seems else ''})" if shown else ""


def partition_breach(
    outside: pl.Series, *, times: pl.Series, window: tuple[datetime, datetime], column: str, table: str
) -> list[Breach]:
    """Most rows of a delivery belong to another partition."""
    known = len(times) - times.null_count()
    share = int(outside.sum()) / known if known else 0.0
    if share <= MOST:
        return []
    first, last = times.min(), times.max()
    where = f"[{window[0].isoformat()}, {window[1].isoformat()})"
    span = f"'{column}' runs from {first!s} to {last!s} ({_eg(examples(outside))})"
    message = f"{table}: {percent(share)} of rows lie outside the partition {where}: {span}"
    return [
        Breach(
            code="wrong_partition",
            table=table,
            column=column,
            value=share,
            limit=MOST,
            message=message,
            examples=examples(outside),
        )
    ]


def too_many_rows_breach(*, rows: int, table: str, rules: Rules) -> Breach:
    """A table has more rows than a check of the whole of it may hold in memory."""
    names = ", ".join(name for name, scope in rules.scopes.items() if scope == "partition")
    cure = 'let it judge rows (scope="rows"), or deliver smaller partitions'
    message = f"{table}: {rows:,} rows, and a check of a whole partition ({names}) takes at most {MOST_CHECKED:,}; {cure}"
    return Breach(code="check", table=table, value=rows, limit=MOST_CHECKED, message=message)


def check_breach(*, check: str, column: str | None, table: str, failed: pl.Series) -> Breach:
    """A check that judges a column or table as a whole said no."""
    what = f"column '{column}'" if column else "the table"
    where = f" ({_eg(examples(failed))})" if len(failed) > 1 else ""
    return Breach(
        code="check",
        table=table,
        column=column,
        value="failed",
        limit=check,
        message=f"{table}: {what} fails the check '{check}'{where}",
        examples=examples(failed) if len(failed) > 1 else (),
    )


def reason_counts(refused: pl.DataFrame) -> dict[str, int]:
    """The number of rows that were refused for each reason, the most frequent first."""
    counts = (
        refused["reason"].str.split(",").explode().value_counts(sort=False).sort(["count", "reason"], descending=[True, False])
    )
    return dict(counts.iter_rows())


def examples(mask: pl.Series) -> tuple[int, ...]:
    """The first few row numbers of a mask."""
    return tuple(mask.arg_true().head(_EXAMPLES).to_list())


def percent(share: float) -> str:
    """A share between 0 and 1 as text, with four significant digits."""
    return f"{100 * share:.4g} %"


def _share(mask: pl.Series) -> float:
    return int(mask.sum()) / len(mask) if len(mask) else 0.0


def _eg(rows: Sequence[int]) -> str:
    return f"e.g. rows {', '.join(map(str, rows[:3]))}"
