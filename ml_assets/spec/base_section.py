"""The base of all sections of product.yaml: strict, frozen models, and the kinds of names and spans in them."""

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Annotated, Any, ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Column = Annotated[str, Field(min_length=1)]
_UNITS: Mapping[str, timedelta] = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_SPAN = re.compile(r"(\d{1,5})([hdw])")


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


def known_zone(name: str) -> str:
    """The name, if there is such a time zone. Raises ValueError."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name of a folder of zones
        raise ValueError(f"'{name}' is not a time zone; write one like Europe/Berlin") from None
    return name


def span(written: str) -> timedelta:
    """The length of a span of time such as `12h`. Raises ValueError."""
    if not (parts := _SPAN.fullmatch(written)):
        raise ValueError(f"'{written}' is no span of time; write a whole number of hours, days or weeks: 12h, 30d, 4w")
    return int(parts[1]) * _UNITS[parts[2]]
