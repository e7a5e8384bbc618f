"""The keys of product.yaml as the models of ml_assets.spec declare them: path, type, default, what is allowed."""

import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from key_examples import EXAMPLES
from pydantic import TypeAdapter
from pydantic.fields import FieldInfo

from ml_assets.spec.base_section import Section
from ml_assets.spec.product import Product

_PLACEHOLDERS = {"space": "<parameter>"}
_SAME_KEYS = {"labels.delivered.<table>": "delivery.tables.<table>", "delivery.reference.<table>": "delivery.tables.<table>"}
"""Sections whose keys have the examples of another one's."""


@dataclass(frozen=True)
class Key:
    """One key: `path` with its dots, `<name>` for a name of one's own and `[]` for each of a list."""

    path: str
    field: FieldInfo
    section: type[Section]

    @property
    def default(self) -> str:
        """The default as YAML; empty where there is none."""
        if self.field.is_required():
            return ""
        value = self.field.get_default(call_default_factory=True)
        return "none" if value is None or value in ("", (), {}) else as_yaml(value)

    @property
    def allowed(self) -> str:
        """What may be written, in words."""
        return in_words(self._schema)

    @property
    def _schema(self) -> dict[str, Any]:
        kind: Any = Annotated[self.field.annotation, *self.field.metadata, self.field]
        return TypeAdapter(kind).json_schema()

    @property
    def example(self) -> str:
        """A value as YAML: the written one, the field's own, the default, or the first that is allowed. Empty where there is
        none, which a test refuses."""
        for path in (self.path, *(self.path.replace(a, b, 1) for a, b in _SAME_KEYS.items() if self.path.startswith(a))):
            if path in EXAMPLES:
                return EXAMPLES[path]
        if self.field.examples:
            return as_yaml(self.field.examples[0])
        if self.default not in ("", "none"):
            return self.default
        first = _first_allowed(self._schema)
        return "" if first is None else as_yaml(first)


def keys(section: type[Section] = Product, path: str = "") -> Iterator[Key]:
    """Every key that holds a value of its own, in the order of the models."""
    for name, field in section.model_fields.items():
        here = f"{path}{name}"
        below = _section_below(field.annotation, name)
        if below is None:
            yield Key(here, field, section)
        else:
            yield from keys(below[0], f"{here}{below[1]}.")


def _section_below(annotation: Any, name: str) -> tuple[type[Section], str] | None:
    """The section that a key holds, and how a path goes on to it; None where it holds a value."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation, ""
    if origin in (Union, types.UnionType):
        return next((found for part in arguments if (found := _section_below(part, name))), None)
    if origin is Annotated:
        return _section_below(arguments[0], name)
    if origin is tuple and arguments and (found := _section_below(arguments[0], name)):
        return found[0], "[]"
    if origin in (dict, Mapping) and (found := _section_below(arguments[1], name)):
        return found[0], f".{_PLACEHOLDERS.get(name, '<table>')}"
    return None


def in_words(schema: Mapping[str, Any]) -> str:
    """A JSON Schema in a few words."""
    if parts := schema.get("anyOf"):
        return " or ".join(words for part in parts if (words := in_words(part)) != "none")
    if "const" in schema:
        return f"`{as_yaml(schema['const'])}`"
    if "enum" in schema:
        return ", ".join(f"`{as_yaml(value)}`" for value in schema["enum"])
    kind = schema.get("type", "any value")
    if kind == "null":
        return "none"
    if kind == "array":
        return f"list of: {in_words(schema.get('items', {}))}"
    if kind == "object":
        values: Any = schema.get("additionalProperties") or next(iter(schema.get("patternProperties", {}).values()), {})
        return f"names with: {in_words(values) if isinstance(values, Mapping) else 'any value'}"
    return " ".join(filter(None, [_KINDS.get(kind, kind), _limits(schema)]))


_KINDS = {"integer": "whole number", "number": "number", "string": "text", "boolean": "`true` or `false`"}
_LIMITS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def _limits(schema: Mapping[str, Any]) -> str:
    return ", ".join(f"{sign} {schema[name]:g}" for name, sign in _LIMITS.items() if name in schema)


def _first_allowed(schema: Mapping[str, Any]) -> Any:
    for part in (schema, *schema.get("anyOf", ())):
        if "const" in part or "enum" in part:
            return part.get("const", part.get("enum", [None])[0])
        if part.get("type") in ("integer", "number"):
            return max(part.get("minimum", 1), 1)
    return None


def as_yaml(value: Any) -> str:
    """A value on one line of YAML."""
    import yaml

    plain = TypeAdapter(Any).dump_python(value, mode="json")
    text = yaml.safe_dump(plain, default_flow_style=True, width=10_000, allow_unicode=True, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")
