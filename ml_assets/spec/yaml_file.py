"""Reads a YAML file into a pydantic model and explains every mistake by file, line, path and what is allowed.

Knows nothing about products: the model is an argument.
"""

import difflib
import json
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

Loc = tuple[str | int, ...]
M = TypeVar("M", bound=BaseModel)


class _Loader(yaml.SafeLoader):
    """SafeLoader that leaves dates alone: a partition key stays the string that was written."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One mistake in a spec file."""

    file: Path
    line: int
    path: str
    message: str

    def __str__(self) -> str:
        return (
            f"{self.file}:{self.line}: {self.path}: {self.message}" if self.path else f"{self.file}:{self.line}: {self.message}"
        )


@dataclass(frozen=True, kw_only=True)
class Parsed:
    """What a YAML file says, and the line (from 1) on which each path of it stands."""

    content: Any
    lines: Mapping[Loc, int]
    duplicates: tuple[Loc, ...]

    def line_of(self, loc: Loc) -> int:
        """The line of a path or, where the path is missing, of its nearest parent."""
        while loc and loc not in self.lines:
            loc = loc[:-1]
        return self.lines.get(loc, 1)


class SpecFileProblems(Exception):
    """Every mistake found in one spec file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def read_model(file: Path, model: type[M], *, content: bytes | None = None, context: Mapping[str, Any] | None = None) -> M:
    """The model that the file describes; values are checked strictly ("7" is not 7). `content`: its bytes, if they were read."""
    parsed = _parse(file, content)
    seen = {"content": parsed.content, **(context or {})}
    problems = [
        Problem(file=file, line=parsed.line_of(loc), path=dotted(loc), message="the key is given twice")
        for loc in parsed.duplicates
    ]
    try:
        value = model.model_validate_json(json.dumps(parsed.content), strict=True, context=seen)
    except ValidationError as error:
        problems += [_explain(details, file=file, parsed=parsed, model=model) for details in _causes(error.errors())]
        raise SpecFileProblems(sorted(problems, key=lambda problem: problem.line)) from None
    if problems:
        raise SpecFileProblems(problems)
    return value


def line_of(file: Path, content: bytes | None, path: str) -> int:
    """The line of a path like `gates.unit`; where it is not written, of its nearest parent."""
    return _parse(file, content).line_of(tuple(path.split(".")))


def unknown_name(name: str, *, allowed: Iterable[str]) -> str:
    """A hint for a name that is not among the allowed ones: the nearest match, then all of them."""
    names = sorted(allowed)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return (f"did you mean '{near[0]}'? " if near else "") + f"allowed: {', '.join(names) or 'none'}"


def dotted(loc: Loc) -> str:
    """`("gates", "claims", 0, "metric")` as `gates.claims[0].metric`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    return text.removeprefix(".")


def _parse(file: Path, written: bytes | None) -> Parsed:
    lines: dict[Loc, int] = {(): 1}
    duplicates: list[Loc] = []
    try:
        loader = _Loader((file.read_bytes() if written is None else written).decode("utf-8"))
        node = loader.get_single_node()
        content = None if node is None else _walk(loader, node, loc=(), lines=lines, duplicates=duplicates)
    except OSError as error:
        raise SpecFileProblems([Problem(file=file, line=1, path="", message=f"cannot be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise SpecFileProblems([Problem(file=file, line=1, path="", message="is not UTF-8 text")]) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        message = f"is not YAML: {getattr(error, 'problem', None) or error}"
        raise SpecFileProblems([Problem(file=file, line=mark.line + 1 if mark else 1, path="", message=message)]) from error
    return Parsed(content=content, lines=lines, duplicates=tuple(duplicates))


def _walk(loader: _Loader, node: yaml.Node, *, loc: Loc, lines: dict[Loc, int], duplicates: list[Loc]) -> Any:
    """The plain value of a node; notes the line of every path below it."""
    if isinstance(node, yaml.SequenceNode):
        items = []
        for index, child in enumerate(node.value):
            lines[*loc, index] = child.start_mark.line + 1
            items.append(_walk(loader, child, loc=(*loc, index), lines=lines, duplicates=duplicates))
        return items
    if isinstance(node, yaml.MappingNode):
        mapping = {}
        for key_node, child in node.value:
            here = (*loc, str(key_node.value))
            if here[-1] in mapping:
                duplicates.append(here)
            lines[here] = key_node.start_mark.line + 1
            mapping[here[-1]] = _walk(loader, child, loc=here, lines=lines, duplicates=duplicates)
        return mapping
    return loader.construct_object(node)


def _causes(errors: list[ErrorDetails]) -> list[ErrorDetails]:
    """Without "too short" of a list whose items were refused: pydantic says both."""
    return [
        e
        for e in errors
        if e["type"] != "too_short" or not any(o is not e and o["loc"][: len(e["loc"])] == e["loc"] for o in errors)
    ]


def _explain(details: ErrorDetails, *, file: Path, parsed: Parsed, model: type[BaseModel]) -> Problem:
    loc = tuple(part for part in details["loc"] if part != "[key]")
    kind, value = details["type"], details["input"]
    if kind == "extra_forbidden":
        section, key = _section_at(model, loc[:-1]), str(loc[-1])
        moved: Mapping[str, str] = getattr(section, "moved", {})
        message = moved.get(key) or f"unknown key; {unknown_name(key, allowed=section.model_fields)}"
    elif kind == "missing":
        message = f"the key is missing; its section takes: {', '.join(sorted(_section_at(model, loc[:-1]).model_fields))}"
    elif kind == "value_error" and isinstance(value, dict | list):
        message = details["msg"].removeprefix("Value error, ")
    else:
        message = f"{_lower(details['msg'].removeprefix('Value error, '))}; found {json.dumps(value, default=str)}"
    return Problem(file=file, line=parsed.line_of(loc), path=dotted(loc), message=message)


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _section_at(model: type[BaseModel], loc: Loc) -> type[BaseModel]:
    """The model of the section at a path; follows dict[str, X], tuple[X, ...] and X | None."""
    kind: Any = model
    for part in loc:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            kind = _inner(kind.model_fields[str(part)].annotation)
        else:
            kind = _inner(next(a for a in reversed(typing.get_args(kind)) if a is not Ellipsis))
    section: type[BaseModel] = kind
    return section


def _inner(annotation: Any) -> Any:
    """X of X | None and of Annotated[X, ...]."""
    origin = typing.get_origin(annotation)
    if origin in (UnionType, typing.Union):
        return _inner(next(a for a in typing.get_args(annotation) if a is not type(None)))
    return _inner(typing.get_args(annotation)[0]) if origin is typing.Annotated else annotation
