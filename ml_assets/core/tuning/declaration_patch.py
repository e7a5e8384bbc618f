"""A change of values below `model` in the text of product.yaml, which keeps every comment and line that it does not concern."""

import difflib
import json
from collections.abc import Mapping
from typing import Any

import yaml

from ml_assets.spec.tuning import PARAMS

MODEL = "model"
NO_NEWLINE = "\\ No newline at end of file\n"
"""How a patch says that a file's last line has no end."""


def with_parameters(text: str, parameters: Mapping[str, Any]) -> str:
    """The text of a product.yaml that declares these parameters: values that are there are replaced, others are added."""
    for name, value in parameters.items():
        text = _set(text, name, value)
    return text


def unified(path: str, before: str, after: str) -> str:
    """The change as a patch that `git apply` takes; `path` is the file's, from the root of the repository."""
    lines = (before.splitlines(keepends=True), after.splitlines(keepends=True))
    diff = difflib.unified_diff(*lines, fromfile=f"a/{path}", tofile=f"b/{path}")
    return "".join(line if line.endswith("\n") else f"{line}\n{NO_NEWLINE}" for line in diff)


def _set(text: str, name: str, value: Any) -> str:
    model = _value(yaml.compose(text, Loader=yaml.SafeLoader), MODEL)
    assert isinstance(model, yaml.MappingNode)
    parent, key = model, name
    if name.startswith(PARAMS):
        key = name.removeprefix(PARAMS)
        params = _value(model, PARAMS.rstrip("."))
        if not isinstance(params, yaml.MappingNode):
            return _inserted(text, model, PARAMS.rstrip("."), f"{{{key}: {json.dumps(value)}}}")
        parent = params
    known = _value(parent, key)
    if known is None:
        return _inserted(text, parent, key, json.dumps(value))
    return text[: known.start_mark.index] + json.dumps(value) + text[known.end_mark.index :]


def _value(mapping: yaml.Node | None, key: str) -> yaml.Node | None:
    assert isinstance(mapping, yaml.MappingNode)
    return next((value for name, value in mapping.value if name.value == key), None)


def _inserted(text: str, mapping: yaml.MappingNode, key: str, value: str) -> str:
    """The text with one more key, before the first one of the mapping."""
    if mapping.flow_style:
        place = mapping.start_mark.index + 1
        return f"{text[:place]}{key}: {value}{', ' if mapping.value else ''}{text[place:]}"
    first = mapping.value[0][0].start_mark
    return f"{text[: first.index]}{key}: {value}\n{' ' * first.column}{text[first.index :]}"
