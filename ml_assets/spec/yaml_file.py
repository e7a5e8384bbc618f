"""Reads a YAML file into a pydantic model and explains every mistake by file, line, path and what is allowed.

Knows nothing about products: the model is an argument.
"""

import difflib
import json
import typing
from collections.abc import Iterable, Iterator, Mapping
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
        """Return file, line, path and message, as editors link them."""
        return (
            f"{self.file}:{self.line}: {self.path}: {self.message}" if self.path else f"{self.file}:{self.line}: {self.message}"
        )


@dataclass(frozen=True, kw_only=True)
class Parsed:
    """The content of a YAML file, and the line (from 1) of each path in it."""

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
        """Join the problems, one a line."""
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def read_model(file: Path, model: type[M], *, content: bytes | None = None, context: Mapping[str, Any] | None = None) -> M:
    """The model that the file describes; values are checked strictly ("7" is not 7). `content`: its bytes, if they were read."""
    written = parsed(file, content)
    seen = {"content": written.content, **(context or {})}
    problems = [
        Problem(file=file, line=written.line_of(loc), path=dotted(loc), message="the key is given twice")
        for loc in written.duplicates
    ]
    try:
        value = model.model_validate_json(json.dumps(written.content), strict=True, context=seen)
    except ValidationError as error:
        problems += [_explain(details, file=file, written=written, model=model) for details in _causes(error.errors())]
        raise SpecFileProblems(sorted(problems, key=lambda problem: problem.line)) from None
    if problems:
        raise SpecFileProblems(problems)
    return value


def unknown_name(name: str, *, allowed: Iterable[str]) -> str:
    """A hint for a name that is not among the allowed ones: the nearest match, then all of them."""
    names = sorted(allowed)
    return nearest(name, names) + f"allowed: {', '.join(names) or 'none'}"


def nearest(name: str, names: Iterable[str]) -> str:
    """A question for the name that is the most like this one; empty where none is like it."""
    near = difflib.get_close_matches(name, sorted(names), n=1, cutoff=0.6)
    return f"did you mean '{near[0]}'? " if near else ""


def dotted(loc: Loc) -> str:
    """`("gates", "claims", 0, "metric")` as `gates.claims[0].metric`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    return text.removeprefix(".")


def parsed(file: Path, content: bytes | None = None) -> Parsed:
    """A YAML file as plain values with their lines. `content`: its bytes, if they were read. Raises SpecFileProblems."""
    lines: dict[Loc, int] = {(): 1}
    duplicates: list[Loc] = []
    try:
        loader = _Loader((file.read_bytes() if content is None else content).decode("utf-8"))
        node = loader.get_single_node()
        value = None if node is None else _walk(loader, node, loc=(), lines=lines, duplicates=duplicates)
    except OSError as error:
        raise SpecFileProblems([Problem(file=file, line=1, path="", message=f"cannot be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise SpecFileProblems([Problem(file=file, line=1, path="", message="is not UTF-8 text")]) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        message = f"is not YAML: {getattr(error, 'problem', None) or error}"
        raise SpecFileProblems([Problem(file=file, line=mark.line + 1 if mark else 1, path="", message=message)]) from error
    return Parsed(content=value, lines=lines, duplicates=tuple(duplicates))


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


def _explain(details: ErrorDetails, *, file: Path, written: Parsed, model: type[BaseModel]) -> Problem:
    loc = tuple(part for part in details["loc"] if part != "[key]")
    kind, value, place = details["type"], details["input"], _as_written(model, loc)
    if kind == "extra_forbidden":
        section, key = _section_at(model, loc[:-1]), str(loc[-1])
        moved: Mapping[str, str] = getattr(section, "moved", {})
        message = moved.get(key) or f"unknown key; {unknown_name(key, allowed=section.model_fields)}"
    elif kind == "missing":
        message = f"the key is missing; its section takes: {', '.join(sorted(_section_at(model, loc[:-1]).model_fields))}"
    elif kind == "union_tag_invalid":
        tag, key, allowed = (details["ctx"][name] for name in ("tag", "discriminator", "expected_tags"))
        hint = unknown_name(tag, allowed=allowed.replace("'", "").split(", "))
        message = key.strip("'") + f": '{tag}' is not known; {hint}"
    elif kind == "value_error" and isinstance(value, dict | list):
        message = details["msg"].removeprefix("Value error, ")
    else:
        hides = any(getattr(part, "model_config", {}).get("hide_input_in_errors") for part in (model, *_kinds(model, loc)))
        shown = "" if hides else f"; found {json.dumps(value, default=str)}"
        message = f"{_lower(details['msg'].removeprefix('Value error, '))}{shown}"
    return Problem(file=file, line=written.line_of(place), path=dotted(place), message=message)


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _section_at(model: type[BaseModel], loc: Loc) -> type[BaseModel]:
    """The model of the section at a path; follows dict[str, X], tuple[X, ...], X | None and unions of sections."""
    section: type[BaseModel]
    *_, section = (model, *_kinds(model, loc))
    return section


def _as_written(model: type[BaseModel], loc: Loc) -> Loc:
    """The path without the tags by which pydantic names the members of a union: the file has no such parts."""
    return tuple(part for part, above in zip(loc, (model, *_kinds(model, loc)), strict=False) if not _members(above))


def _kinds(model: type[BaseModel], loc: Loc) -> Iterator[Any]:
    """The model's type of each part of a path, from the outermost."""
    kind: Any = model
    for part in loc:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            field = kind.model_fields.get(str(part))
            kind = _inner(field.annotation) if field else None
        elif members := _members(kind):
            kind = members.get(part)
        else:
            kind = _inner(next((a for a in reversed(typing.get_args(kind)) if a is not Ellipsis), None))
        yield kind


def _members(kind: Any) -> dict[Any, type[BaseModel]]:
    """The sections of a union, by their `kind`."""
    sections = [a for a in typing.get_args(kind) if isinstance(a, type) and issubclass(a, BaseModel)]
    is_union = typing.get_origin(kind) in (UnionType, typing.Union) and len(sections) > 1
    return (
        {tag: section for section in sections for tag in typing.get_args(section.model_fields["kind"].annotation)}
        if is_union
        else {}
    )


def _inner(annotation: Any) -> Any:
    """X of X | None and of Annotated[X, ...]."""
    origin = typing.get_origin(annotation)
    if origin in (UnionType, typing.Union) and not _members(annotation):
        return _inner(next(a for a in typing.get_args(annotation) if a is not type(None)))
    return _inner(typing.get_args(annotation)[0]) if origin is typing.Annotated else annotation
