"""From a source's rows and what is asked for to a draft: the steps in their order."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import polars as pl
from pydantic import ValidationError

from ml_assets.core.draft import csv_dialect, time_forms
from ml_assets.core.draft.column_limits import limits_of, of_classes
from ml_assets.core.draft.column_roles import ColumnRoles, classes_of, key_of, task_of, time_column, unused_inputs
from ml_assets.core.draft.columns import SourceColumn, columns_of, require, without_kind
from ml_assets.core.draft.delivery_calendar import DeliveryHistory, history_of, static_history
from ml_assets.core.draft.draft import Draft
from ml_assets.core.draft.gates import Plan, first_plan
from ml_assets.core.draft.label_leaks import outcomes, separations_of, suspicious
from ml_assets.core.draft.request import DraftRefused, DraftRequest
from ml_assets.core.draft.role_refusals import refuse_few_groups
from ml_assets.core.draft.window_sizes import (
    LEAST,
    MOST_FOLDS,
    WindowSizes,
    longest_test,
    scarce_classes,
    static_windows,
    unit_of,
    windows_of,
)
from ml_assets.core.metrics.units import CALENDAR
from ml_assets.spec.delivery import EPOCHS, ReferenceSpec
from ml_assets.spec.gates import MinimumSpec

LEAST_ROWS = 50
DATE_PARTS, LEAST_PARTS = ("year", "month", "day"), 2


def drafted(
    frame: pl.DataFrame, spec: ReferenceSpec, request: DraftRequest, *, table: str, time_format: str | None = None
) -> Draft:
    """The draft of a product for these rows, as delivered. Raises DraftRefused."""
    if frame.height < LEAST_ROWS:
        raise DraftRefused(f"the source has {frame.height} rows; at least {LEAST_ROWS} are needed to draft anything from")
    spec = _completed(frame, spec, request, time_format=time_format)
    left_out = without_kind(frame)
    _refuse_left_out(left_out, request)
    columns = columns_of(frame, spec, time=request.time)
    label = require(request.label, columns, option="--label")
    time = time_column(columns, request)
    group = require(request.group, columns, option="--group") if request.group else None
    _refuse_two_roles(columns, request, time)
    refuse_few_groups(group, least=LEAST.units)
    task, positive = task_of(label, request)
    time, history = _history(time, request, rows=frame.height)
    classes = classes_of(label) if task == "multiclass" else ()
    roles = _roles(columns, request, time=time, label=label, group=group, task=task, positive=positive, classes=classes)
    separations = separations_of([c for c in columns.values() if c not in (label, time)], roles.target, task=task)
    reasons = dict.fromkeys(request.after, "--after says so")
    others = [c for c in columns.values() if c not in (label, time, group) and c.name not in roles.unused]
    outcomes_by_rule = outcomes(others, label=label, time=time, separations=separations, target=roles.target)
    after = {**{name: reason for name, reason in outcomes_by_rule.items() if name not in request.known}, **reasons}
    key = key_of(columns, request, time, after)
    if time is None and group is not None and group not in (key.columns if not key.is_made else ()):
        key = replace(key, group=group)
    named = {column.name for column in key.columns} if not key.is_made else set()
    left = {*after, *named, *(name for name in roles.unused if group is None or name != group.name)}
    inputs = tuple(c for c in columns.values() if c not in (label, time) and c is not key.group and c.name not in left)
    if not inputs and (time is None or times_are_all_alike(time)):
        raise DraftRefused(f"no column is left for the model: {_why(roles.unused, after)}")
    unused = {
        name: reason for name, reason in roles.unused.items() if name not in named and (group is None or name != group.name)
    }
    roles = replace(roles, key=key, after=after, inputs=inputs, unused=unused)
    limits = {
        c.name: limits_of(c, time=time, codes=history.codes, is_key=c.name in named, is_after=c is label or c.name in after)
        for c in columns.values()
    }
    if classes:
        limits[label.name] = of_classes(limits[label.name], classes)
    suspects = tuple(suspect for suspect in suspicious(separations, after) if suspect.column in {c.name for c in inputs})
    notes = (*history.notes, *_said_of(left_out), *(_of_no_time(columns, request) if time is None else ()))
    return Draft(
        request, table, spec, frame, columns, roles, history, limits, tuple(separations), suspects, notes=notes, left_out=left_out
    )


def _refuse_left_out(left_out: Mapping[str, pl.DataType], request: DraftRequest) -> None:
    """Refuse a role for a column that no contract can have."""
    single = [("--label", request.label), ("--time", request.time), ("--group", request.group)]
    roles = [(option, (name,)) for option, name in single if name]
    for option, names in [*roles, ("--key", request.key), ("--after", request.after), ("--known", request.known)]:
        for name in names:
            if name in left_out:
                raise DraftRefused(f"{option} {name}: it holds {left_out[name]}; make text, a number or a time of it")


def _said_of(left_out: Mapping[str, pl.DataType]) -> Iterator[str]:
    if left_out:
        held = ", ".join(f"{name} ({dtype})" for name, dtype in left_out.items())
        yield f"the contract leaves out {held}, which it cannot hold; for a feature, deliver text or a number made of one"


def _of_no_time(columns: Mapping[str, SourceColumn], request: DraftRequest) -> Iterator[str]:
    yield from _date_in_parts(columns, request)
    if not request.every:
        yield from time_forms.unread_times(column.values for column in columns.values() if column.name != request.label)


def _date_in_parts(columns: Mapping[str, SourceColumn], request: DraftRequest) -> Iterator[str]:
    """A note where a table without a time has a date in several columns."""
    parts = [name for part in DATE_PARTS for name, column in columns.items() if column.field == part and column.kind == "integer"]
    if len(parts) >= LEAST_PARTS and not request.every:
        yield f"{', '.join(parts)} seem to be a date in parts: deliver one column made of them, and the rows are taken by time"


def _refuse_two_roles(columns: Mapping[str, SourceColumn], request: DraftRequest, time: SourceColumn | None) -> None:
    """Refuse options that name no column, or one column twice where the two exclude each other."""
    taken = {request.label: "--label", **({time.name: "the time"} if time is not None else {})}
    if request.time == request.label:
        raise DraftRefused(f"--time and --label are both {request.label}; the question is asked before its answer is known")
    options = [("--key", request.key), ("--group", (request.group,) if request.group else ()), ("--after", request.after)]
    for option, names in [*options, ("--known", request.known)]:
        for name in names:
            require(name, columns, option=option)
            if name in taken and not (option == "--key" and name != request.label):
                raise DraftRefused(f"{option} {name}: that is {taken[name]} already; name another column, or leave it out")
    if both := sorted({*request.after} & {*request.known, *request.key, *filter(None, [request.group])}):
        raise DraftRefused(f"--after {both[0]}: another option needs it when the question is asked; name it in one of them")


def _history(time: SourceColumn | None, request: DraftRequest, *, rows: int) -> tuple[SourceColumn | None, DeliveryHistory]:
    """The time and the deliveries by it. Where nobody asked for one that divides the rows into too few, it is none."""
    if time is None:
        return None, static_history(rows)
    try:
        return time, history_of(time.values, request.every)
    except DraftRefused as error:
        if request.time or request.every:
            raise
        static = static_history(rows)
        return None, replace(static, notes=(f"taken for a table without a time: {str(error).partition(';')[0]}",))


def planned(draft: Draft) -> Plan:
    """The usual windows of the draft, and gates of which nothing is tried yet."""
    return _planned(draft, folds=MOST_FOLDS, shortest=1)


def longer(draft: Draft, plan: Plan) -> Plan | None:
    """The same with fewer folds or longer windows than those of a plan, None where there are none."""
    windows = plan.windows
    if draft.roles.time is None:
        folds = (len(windows.keys) - 1) // 2
        return _planned(draft, folds=folds, shortest=1) if folds else None
    is_longest = windows.test == longest_test(draft.history)
    return None if is_longest else _planned(draft, folds=MOST_FOLDS, shortest=2 * windows.test)


def _planned(draft: Draft, *, folds: int, shortest: int) -> Plan:
    roles, history = draft.roles, draft.history
    group = roles.group.field if roles.group else None
    if roles.time is None:
        return _plan(draft, group or "row", *static_windows(roles.target, task=roles.task, most=folds))
    unit = unit_of(roles.time.values, history, group=group)
    values = roles.group.values if roles.group else roles.time.values.dt.truncate(CALENDAR[unit])
    windows, minimum, notes = windows_of(history, values, roles.target, task=roles.task, shortest=shortest)
    return _plan(draft, unit, windows, minimum, [*notes, *_rare_classes(draft, windows, minimum)])


def _rare_classes(draft: Draft, windows: WindowSizes, minimum: MinimumSpec) -> Iterator[str]:
    """The classes that some windows lack, and what that means."""
    roles, history = draft.roles, draft.history
    if not roles.classes:
        return
    numbers = scarce_classes(history, roles.target, test=windows.test, least=minimum.per_class)
    rare = ", ".join(f"{roles.classes[number]} in {int((roles.target == number).sum()):,} rows" for number in numbers)
    if rare:
        yield (
            f"{roles.label.name} is {rare}, and some windows have fewer than {minimum.per_class} of a class: nothing is decided "
            f"on these; put rare classes together before they are delivered, or draft without the time: --every delivery"
        )


def _plan(draft: Draft, unit: str, windows: WindowSizes, minimum: MinimumSpec, notes: list[str]) -> Plan:
    return replace(first_plan(draft.roles.task, unit, windows, minimum), notes=tuple(notes))


def times_are_all_alike(time: SourceColumn) -> bool:
    """Whether nothing can be made of the time either."""
    return time.known.dt.truncate("1d").n_unique() < 28


def _roles(
    columns: Mapping[str, SourceColumn],
    request: DraftRequest,
    *,
    time: SourceColumn | None,
    label: SourceColumn,
    group: SourceColumn | None,
    **task: object,
) -> ColumnRoles:
    unused = unused_inputs((c for c in columns.values() if c not in (time, label)), time)
    key = key_of(columns, request, time, ())
    return ColumnRoles(key=key, time=time, label=label, group=group, inputs=(), unused=unused, **task)  # type: ignore[arg-type]


def _completed(frame: pl.DataFrame, spec: ReferenceSpec, request: DraftRequest, *, time_format: str | None) -> ReferenceSpec:
    """The declaration with what only the values tell: words for missing, the decimal sign, the form of times."""
    if time_format:
        try:
            spec = ReferenceSpec(**{**spec.model_dump(), "datetime_format": time_format})
        except ValidationError as error:
            raise DraftRefused(f"--time-format: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None
    if spec.format == "csv":
        spec = spec.model_copy(update={"null_values": csv_dialect.missing_words(frame)})
        spec = spec.model_copy(update={"decimal": csv_dialect.decimal_sign(frame, spec)})
    if time_format or any(dtype.is_temporal() for dtype in frame.schema.values()):
        return spec
    names = [request.time] if request.time else [name for name in frame.columns if name != request.label]
    held = (frame[name] for name in names if name in frame.columns)
    written = (values for values in held if values.dtype == pl.String or values.dtype.is_integer())
    forms = sorted(_time_formats(written, spec), key=lambda form: form in EPOCHS)  # written as texts before written as numbers
    return spec.model_copy(update={"datetime_format": forms[0]}) if forms else spec


def _time_formats(columns: Iterable[pl.Series], spec: ReferenceSpec) -> list[str]:
    """The formats of the columns that are times. Raises DraftRefused for one whose day and month cannot be told apart, unless
    another one is a time: codes such as 01-02-03 read as dates, too."""
    formats, unclear = [], []
    for values in columns:
        try:
            formats.append(time_forms.time_format(_worded(values, spec), spec))
        except DraftRefused as error:
            unclear.append(error)
    read = [form for form in formats if form]
    if unclear and not read:
        raise unclear[0]
    return read


def _worded(values: pl.Series, spec: ReferenceSpec) -> pl.Series:
    if values.dtype != pl.String:
        return values
    return values.set(values.is_in(list(spec.null_values)), None)


def _why(unused: Mapping[str, str], after: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {reason}" for name, reason in {**unused, **after}.items()) or "there is none"
