"""The text of a drafted contract.py: each limit below a comment that says of how many rows it is true."""

import textwrap
from collections.abc import Iterable, Mapping

from ml_assets.core.draft.column_limits import ColumnLimits, nice
from ml_assets.core.draft.columns import PYTHON, SourceColumn
from ml_assets.core.draft.draft import Draft, Feature

WIDTH = 118
OF_REQUESTS = ("nullable", "ge", "le", "isin")
"""Arguments of a field that the endpoint holds a request to as well."""
LEAST_QUARANTINED = 0.01


def contract_text(draft: Draft) -> str:
    """contract.py."""
    history = draft.history
    lead = (
        f"What a {history.every} of {draft.table} must look like, what a client asks with, and what the model sees.\n\n"
        f"Drafted by `ml-assets new` from {len(history.codes.drop_nulls()):,} rows{_span(draft)}: review each limit. The comment "
        f"above one says what was observed, and of how many rows the limit is true."
    )
    head = "\n\n".join(textwrap.fill(part, WIDTH) for part in lead.split("\n\n"))
    parts = [
        f'"""{head}\n"""\n# ruff: noqa: E501, RUF012 - drafted; pandera reads lists and dicts off Config\n',
        "from datetime import datetime\n\nimport pandera.polars as pa\n",
        _table(draft),
        _request(draft),
        _features(draft),
        f'TABLES = {{"{draft.table}": {draft.class_name}}}\n',
    ]
    return "\n\n".join(parts).replace("\n\n\n\n", "\n\n\n")


def _span(draft: Draft) -> str:
    keys = draft.history.keys
    return "" if draft.history.is_static else f", {keys[0]} to {keys[-1]}"


def _table(draft: Draft) -> str:
    lines = [f"class {draft.class_name}(pa.DataFrameModel):", f'    """One row of {draft.table}, as it is delivered."""', ""]
    for column in draft.columns.values():
        lines += _comment(_about(column, draft))
        lines.append(_line(column.field, PYTHON[column.kind], draft.limits[column.name], alias=column.name))
    rows = draft.history.rows
    fewest, key = min(rows.values()), min(rows, key=lambda name: rows[name])
    most = max(LEAST_QUARANTINED, float(nice(2 * draft.quarantined, step=0.01, up=True)))
    lines += ["", "    class Config:", *_strict(draft)]
    if draft.roles.key.is_counted:
        lines += _comment("no column names a row: rows that are alike are all kept, and SQL numbers them", "        ")
    else:
        lines.append(f"        unique = [{', '.join(repr_text(column.name) for column in draft.roles.key.columns)}]")
    lines += _comment(
        f"the smallest of {len(rows)} deliveries is {key} with {fewest:,} rows; the most that these limits refuse of one is "
        f"{draft.quarantined:.2%}",
        "        ",
    )
    lines.append(f'        metadata = {{"min_rows": {max(1, fewest // 2)}, "max_quarantined": {most:g}}}')
    return "\n".join(lines) + "\n"


def _strict(draft: Draft) -> list[str]:
    if not draft.left_out:
        return ["        strict = True"]
    named = ", ".join(f"{name} ({dtype})" for name, dtype in draft.left_out.items())
    return [*_comment(f"columns beyond these are dropped: {named}", "        "), '        strict = "filter"']


def _about(column: SourceColumn, draft: Draft) -> str:
    roles = draft.roles
    behind = draft.limits[column.name].behind
    if column is roles.label:
        return f"the label; {behind}"
    if column is roles.time:
        return f"when the question is asked; {behind}"
    if column.name in roles.after:
        return f"taken for an outcome: {roles.after[column.name]}; {behind}"
    if column.name in roles.unused:
        return f"no input of the model: {roles.unused[column.name]}; {behind}"
    return behind


def _request(draft: Draft) -> str:
    key, time = draft.roles.key, draft.roles.time
    lines = ["class Request(pa.DataFrameModel):", '    """What a client asks with."""', ""]
    lines += [f"    {name}: {kind}" for name, kind in key.fields.items()]
    lines += [f"    {time.field}: datetime"] if time else []
    for column in draft.roles.inputs:
        if column.field not in key.fields:
            limits = draft.limits[column.name]
            kept = ColumnLimits({name: text for name, text in limits.arguments.items() if name in OF_REQUESTS})
            lines.append(_line(column.field, PYTHON[column.kind], kept, alias=column.field))
    return "\n".join([*lines, *_unique(key.fields)]) + "\n"


def _features(draft: Draft) -> str:
    key, time = draft.roles.key, draft.roles.time
    lines = ["class Features(pa.DataFrameModel):"]
    lines += ['    """The model\'s input: key, time, then its columns in the order that the model knows them."""', ""]
    lines += [f"    {name}: {kind}" for name, kind in key.fields.items()]
    lines += [f"    {time.field}: datetime"] if time else []
    lines += [_feature(feature) for feature in draft.features]
    return "\n".join([*lines, *_unique(key.fields)]) + "\n"


def _feature(feature: Feature) -> str:
    return f"    {feature.name}: {feature.python}" + (" = pa.Field(nullable=True)" if feature.nullable else "")


def _unique(fields: Iterable[str]) -> list[str]:
    return ["", "    class Config:", "        strict = True", f"        unique = [{', '.join(map(repr_text, fields))}]"]


def _line(field: str, python: str, limits: ColumnLimits, *, alias: str) -> str:
    arguments = [
        *([f"alias={repr_text(alias)}"] if alias != field else []),
        *(f"{name}={text}" for name, text in limits.arguments.items()),
    ]
    if limits.metadata:
        arguments.append(f"metadata={_mapping(limits.metadata)}")
    start = f"    {field}: {python}"
    if not arguments:
        return start
    one = f"{start} = pa.Field({', '.join(arguments)})"
    if len(one) <= WIDTH:
        return one
    return f"{start} = pa.Field(\n" + "".join(f"{_wrapped(argument)},\n" for argument in arguments) + "    )"


def _wrapped(argument: str) -> str:
    """An argument on lines of its own: a list of texts broken between them."""
    name, is_list, inside = argument.partition("=[")
    if not is_list or len(argument) + 8 <= WIDTH:
        return f"        {argument}"
    lines = [""]
    for item in inside.removesuffix("]").split('", "'):
        piece = '"' + item.strip('"') + '",'
        if lines[-1] and len(lines[-1]) + len(piece) + 13 > WIDTH:
            lines.append("")
        lines[-1] = f"{lines[-1]} {piece}".strip()
    return f"        {name}=[\n" + "".join(f"            {line}\n" for line in lines) + "        ]"


def _mapping(values: Mapping[str, str]) -> str:
    return "{" + ", ".join(f'"{name}": {text}' for name, text in values.items()) + "}"


def _comment(text: str, indent: str = "    ") -> list[str]:
    return (
        textwrap.wrap(text, WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ", break_long_words=False)
        if text
        else []
    )


def repr_text(value: str) -> str:
    """A text as Python writes it, in double quotes."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
