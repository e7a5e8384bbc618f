"""The base of all sections of product.yaml: strict, frozen models, and the kinds of names in them."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Column = Annotated[str, Field(min_length=1)]


class Section(BaseModel):
    """`moved` explains keys that a section once took: what to write instead. `later` are keys that came after the first release:
    their defaults are left out of what is digested, so that they make nothing stale that was made before."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    moved: ClassVar[Mapping[str, str]] = {}
    later: ClassVar[frozenset[str]] = frozenset()


def as_declared(value: Any, content: Any) -> Any:
    """The JSON content of a section, of several, or of a plain value, without the defaults of keys that came later."""
    if isinstance(value, Section):
        kept = {name: getattr(value, name) for name in content if name not in value.later or _is_declared(value, name)}
        return {name: as_declared(part, content[name]) for name, part in kept.items()}
    if isinstance(value, Mapping):
        return {name: as_declared(value[name], part) for name, part in content.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [as_declared(part, shown) for part, shown in zip(value, content, strict=True)]
    return content


def _is_declared(section: Section, name: str) -> bool:
    return bool(getattr(section, name) != type(section).model_fields[name].default)
