"""The role of each column: key, time, label, group, an input of the model, an outcome, or none of these and why."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from ml_assets.core.draft.columns import PYTHON, SourceColumn, quoted, require
from ml_assets.core.draft.request import DraftRefused, DraftRequest
from ml_assets.core.draft.role_refusals import refuse_spellings
from ml_assets.spec.tasks import LEAST_CLASSES, Task

POSITIVE_WORDS = ("yes", "true", "y", "t", "1", "positive", "churned", "fraud", "bad", "default", "won")
MOST_CLASSES = 20
NAME_SHARE = 0.5
"""A text with more different values than this share of the rows names a row and describes none."""
_KEY_NAME = re.compile(r"(^|_)(id|key|uuid|guid|number|no|code|index)$")


@dataclass(frozen=True)
class DraftKey:
    """`field` names a question. `columns` are the delivered ones that it is made of; `is_made` says that SQL makes it of them;
    `is_counted` that rows may be alike in them, and are numbered. `group`: what the rows of a table without a time are
    divided by."""

    field: str
    columns: tuple[SourceColumn, ...]
    is_made: bool = False
    is_counted: bool = False
    group: SourceColumn | None = None

    @property
    def fields(self) -> dict[str, str]:
        """The columns that name a question, with their Python types: the group, if there is one, and the key itself."""
        own = {self.field: "str" if self.is_made else PYTHON[self.columns[0].kind]}
        return {**({self.group.field: PYTHON[self.group.kind]} if self.group else {}), **own}

    @property
    def selected(self) -> dict[str, str]:
        """The same columns as SQL over the delivered table."""
        return {**({self.group.field: self.group.sql} if self.group else {}), self.field: key_sql(self)}


@dataclass(frozen=True)
class ColumnRoles:
    """`after` and `unused` give the reason by delivered name; `inputs` are what a request carries in addition to key and time."""

    task: Task
    key: DraftKey
    time: SourceColumn | None
    label: SourceColumn
    positive: str | None
    group: SourceColumn | None
    inputs: tuple[SourceColumn, ...]
    after: Mapping[str, str] = field(default_factory=dict)
    unused: Mapping[str, str] = field(default_factory=dict)
    classes: tuple[str | int, ...] = ()

    @property
    def target(self) -> pl.Series:
        """The label as numbers (rows,), null where it is not known; of several classes the number of the class."""
        if self.classes:
            numbers = {str(name): number for number, name in enumerate(self.classes)}
            return self.label.values.cast(pl.String).replace_strict(numbers, default=None, return_dtype=pl.Float64)
        if self.positive is not None:
            return (self.label.values.cast(pl.String) == self.positive).cast(pl.Float64)
        return self.label.values.cast(pl.Float64)


def time_column(columns: Mapping[str, SourceColumn], request: DraftRequest) -> SourceColumn | None:
    """The column that says when the question is asked; None of a table without one. Raises DraftRefused where it is asked for and
    holds no times."""
    if request.every == "delivery":
        if request.time:
            raise DraftRefused("--every delivery is for a table without a time; leave out --time")
        return None
    if request.time:
        column = require(request.time, columns, option="--time")
        if column.kind != "time":
            example = column.known.head(1).to_list()
            raise DraftRefused(
                f"--time {column.name}: it holds no moments in a form that is known here, such as {example}; "
                f"give the form: --time-format '%d.%m.%Y %H:%M', or epoch_s"
            )
        return column
    times = [column for column in columns.values() if column.kind == "time" and column.name != request.label]
    if not times:
        if request.every:
            raise DraftRefused(
                f"--every {request.every}: no column holds dates or times; name it: --time COLUMN --time-format FORMAT"
            )
        return None
    whole = [column for column in times if not column.missing] or times
    earliest = min(whole, key=lambda column: float(_median(column)))
    return earliest


def task_of(label: SourceColumn, request: DraftRequest) -> tuple[Task, str | None]:
    """The task, and which text of the label is the positive one. Raises DraftRefused for a label that no task can learn."""
    levels = label.known.unique().sort().to_list()
    if label.form and request.positive is None and request.task != "multiclass":
        raise DraftRefused(
            f"--label {label.name}: its values are numbers with something around them, such as {label.form.example!r}; deliver "
            f"plain numbers, or say which value is the yes: --positive"
        )
    if len(levels) < 2:
        content = f"one value, {levels[0]}" if levels else "no value"
        raise DraftRefused(f"--label {label.name}: it has {content}; there is nothing to learn")
    refuse_spellings(label, levels, request)
    if request.positive is not None:
        return _by_positive(label, levels, request)
    if request.task == "multiclass" or (request.task is None and _has_classes(label, levels)):
        return _multiclass(label, levels)
    if label.kind == "boolean" or (label.is_number and set(levels) == {0, 1} and request.task != "regression"):
        return "binary", None
    if label.is_number and len(levels) == 2 and request.task != "regression" and all(level == int(level) for level in levels):
        return "binary", _positive_of(label)
    if label.kind == "text":
        if request.task == "regression":
            raise DraftRefused(f"--label {label.name}: it is text ({_few(levels)}), and a regression needs numbers")
        if len(levels) > 2:
            rarest = label.known.value_counts(sort=True)[label.name].to_list()[-1]
            many = "" if len(levels) <= MOST_CLASSES else f"; at most {MOST_CLASSES} classes are drafted"
            raise DraftRefused(
                f"--label {label.name}: it has {len(levels)} values ({_few(levels)}){many}; say which value is the yes, and all "
                f"others are the no: --positive {rarest!r}"
            )
        return "binary", _positive_of(label)
    if not label.is_number:
        raise DraftRefused(f"--label {label.name}: it holds moments, and a label is a number, a boolean or text")
    if request.task == "binary":
        raise DraftRefused(
            f"--task binary: {label.name} has {len(levels)} values ({_few(levels)}); say which is the yes: --positive"
        )
    return "regression", None


def classes_of(label: SourceColumn) -> tuple[str | int, ...]:
    """The classes of a label of several, in their order: that of numbers or of the alphabet."""
    levels = label.known.unique().sort().to_list()
    return tuple(level if isinstance(level, str) else int(level) for level in levels)


def _has_classes(label: SourceColumn, levels: Sequence[object]) -> bool:
    """Whether a label with these levels is taken for one of several classes: a text or whole numbers, each of them often."""
    return label.kind in ("text", "integer") and LEAST_CLASSES <= len(levels) <= MOST_CLASSES


def _multiclass(label: SourceColumn, levels: Sequence[object]) -> tuple[Task, None]:
    if label.kind not in ("text", "integer"):
        raise DraftRefused(f"--task multiclass: {label.name} holds {label.kind}s; classes are texts or whole numbers")
    if not LEAST_CLASSES <= len(levels) <= MOST_CLASSES:
        raise DraftRefused(
            f"--task multiclass: {label.name} has {len(levels)} values ({_few(levels)}); "
            f"allowed: {LEAST_CLASSES} to {MOST_CLASSES}"
        )
    return "multiclass", None


def key_of(
    columns: Mapping[str, SourceColumn], request: DraftRequest, time: SourceColumn | None, outcomes: Iterable[str]
) -> DraftKey:
    """The columns that name a row: those that are asked for, one that is unique, group and time, or all that a request knows."""
    key_name = _free(f"{request.name}_id", columns)
    if request.key:
        chosen = tuple(require(name, columns, option="--key") for name in request.key)
        _refuse_repeats(chosen, request)
        is_plain = len(chosen) == 1 and chosen[0].kind in ("integer", "text") and chosen[0] is not time
        return DraftKey(chosen[0].field, chosen) if is_plain else DraftKey(key_name, chosen, is_made=True)
    others = [c for c in columns.values() if c.name not in {*outcomes, request.label}]
    unique = [
        c
        for c in others
        if (c.kind == "integer" or c.is_level) and not c.missing and not c.misfits and c.known.n_unique() == c.rows
    ]
    named = [c for c in unique if _KEY_NAME.search(c.field)] or unique
    if named:
        return DraftKey(named[0].field, (named[0],))
    group = require(request.group, columns, option="--group") if request.group else None
    texts = [group] if group else [c for c in others if c.is_level and 1 < c.known.n_unique() <= c.rows / 2]
    for chosen in ((time,), *((column, time) for column in texts)) if time is not None else ():
        if _is_unique(chosen):
            return DraftKey(key_name, chosen, is_made=True)
    return DraftKey(key_name, tuple(others), is_made=True, is_counted=True)


def unused_inputs(columns: Iterable[SourceColumn], time: SourceColumn | None) -> dict[str, str]:
    """Columns that a model cannot use, with the reason."""
    reasons: dict[str, str] = {}
    for column in columns:
        known = column.known
        if column.kind == "empty":
            reasons[column.name] = "it has no value"
        elif known.n_unique() == 1 and not column.missing:
            reasons[column.name] = "it is the same in every row"
        elif time is None and column.kind == "time":
            reasons[column.name] = "it is a date, and there is no time of the question to count days from"
        elif column.is_level and known.n_unique() > max(NAME_SHARE * column.rows, 20):
            reasons[column.name] = f"it names rows: {known.n_unique():,} different texts in {column.rows:,} rows"
        elif time is not None and column.kind == "integer" and _counts_up(column, time):
            reasons[column.name] = "it only counts up with time, which no later row repeats"
        elif time is not None and column.is_number and _is_year(column, time):
            reasons[column.name] = "it is the year of the time, which no later row repeats"
    return reasons


def _by_positive(label: SourceColumn, levels: Sequence[object], request: DraftRequest) -> tuple[Task, str]:
    texts = [str(level) for level in levels]
    if request.task == "regression":
        raise DraftRefused("--positive goes with a binary task, not with --task regression")
    if not (label.is_number or label.kind == "text") or request.positive not in texts:
        raise DraftRefused(f"--positive {request.positive}: {label.name} has no such value; it has {_few(texts)}")
    return "binary", str(request.positive)


def _positive_of(label: SourceColumn) -> str:
    """The level that says yes, as 1 of 1 and 2 does; where neither does, the rarer one."""
    levels = label.known.value_counts(sort=True)[label.name].cast(pl.String).to_list()
    worded = [level for level in levels if level.lower().removesuffix(".0") in POSITIVE_WORDS]
    return str(worded[0] if len(worded) == 1 else levels[-1])


def _refuse_repeats(chosen: Sequence[SourceColumn], request: DraftRequest) -> None:
    names = ", ".join(request.key)
    if missing := [column.name for column in chosen if column.missing + column.misfits]:
        raise DraftRefused(f"--key {names}: {missing[0]} has missing values, and a key names every row; name another")
    if not _is_unique(chosen):
        frame = pl.DataFrame([column.values for column in chosen])
        repeated = frame.height - frame.n_unique()
        raise DraftRefused(
            f"--key {names}: {repeated:,} of {frame.height:,} rows repeat it; add a column to it, or leave --key out"
        )


def _is_unique(chosen: Sequence[SourceColumn]) -> bool:
    if any(column.missing + column.misfits for column in chosen):
        return False
    frame = pl.DataFrame([column.values for column in chosen])
    return frame.n_unique() == frame.height


def _counts_up(column: SourceColumn, time: SourceColumn) -> bool:
    if column.missing or column.known.n_unique() != column.rows:
        return False
    return bool(column.values.gather(time.values.arg_sort(nulls_last=True)).is_sorted())


def _is_year(column: SourceColumn, time: SourceColumn) -> bool:
    return column.values.cast(pl.Float64).equals(time.values.dt.year().cast(pl.Float64).alias(column.name))


def _median(column: SourceColumn) -> float:
    return float(column.known.cast(pl.Int64).median() or 0.0)  # type: ignore[arg-type]


def _free(name: str, columns: Mapping[str, SourceColumn]) -> str:
    taken = {column.field for column in columns.values()}
    while name in taken:
        name = f"{name}_made"
    return name


def _few(levels: Sequence[object]) -> str:
    return ", ".join(map(str, levels[:5])) + (f" and {len(levels) - 5} more" if len(levels) > 5 else "")


def key_sql(key: DraftKey) -> str:
    """The key of a row as SQL over the delivered table."""
    if not key.is_made:
        return key.columns[0].sql
    if key.is_counted:
        return "row_digest || '-' || row_number"
    parts = [f"strftime({c.sql}, '%Y-%m-%dT%H:%M:%S')" if c.kind == "time" else c.sql for c in key.columns]
    return parts[0] if len(parts) == 1 else f"concat_ws(' ', {', '.join(parts)})"


def digest_sql(key: DraftKey) -> str:
    """The digest of all that a request knows of a row, as SQL: missing values count, and so do the borders between values."""
    parts = ", ".join(f"coalesce({quoted(column.name)}::varchar, '')" for column in key.columns)
    return f"md5(concat_ws(chr(31), {parts}))"
