"""The endpoint for a person: what serves, since when and why, what a request has, and an example to try in the page."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ml_assets.core.html.rendering import rendered
from ml_assets.serving.release.bundle import Bundle
from ml_assets.serving.requests.field import MOST_SHOWN, SHOWN, Field

TEMPLATE = Path(__file__).with_name("home_page.html.jinja")

LEAST_YEAR = 1900
"""The number of a delivery of a static table, such as 0001, is not a year."""


def home_page(bundle: Bundle, version: Mapping[str, Any], routes: Mapping[str, tuple[str, str]]) -> bytes:
    """Return a self-contained HTML page. `version` is what /version says, `routes` the method and a sentence by path."""
    page = rendered(
        TEMPLATE,
        version=version,
        task=bundle.card.task,
        threshold=bundle.card.threshold,
        fields=[(field.name, _type(field), _allowed(field)) for field in bundle.requests.fields],
        rules=[(rule.name, rule.text) for rule in bundle.requests.rules],
        example=json.dumps(example(bundle.requests.fields, day=newest_day(version)), indent=2, ensure_ascii=False),
        routes=routes,
    )
    return page.encode()


def example(fields: Sequence[Field], *, day: dt.date) -> dict[str, Any]:
    """Return a request of allowed values, made up from the fields: nothing in it comes from a row of the data. Its timestamps are
    of this day."""
    return {field.name: _value(field, day) for field in fields}


def newest_day(version: Mapping[str, Any]) -> dt.date:
    """A day of the newest partition that the release knows, where its key is one of a day, a month or a year."""
    for suffix in ("", "-01", "-01-01"):
        with suppress(ValueError):
            day = dt.date.fromisoformat(f"{version['as_of']}{suffix}"[:10])
            if day.year >= LEAST_YEAR:
                return day
    return dt.date.fromisoformat(version["since"][:10])


def _value(field: Field, day: dt.date) -> Any:
    if field.listed:
        return field.listed[0]
    match field.type:
        case "integer" | "number":
            least, most = field.ge, field.le
            middle = (least + most) / 2 if least is not None and most is not None else least if least is not None else most or 0
            return round(middle) if field.type == "integer" else float(middle)
        case "timestamp":
            return f"{day}T12:00:00"
        case "boolean":
            return False
        case "string":
            return None if field.nullable else "example"


def _type(field: Field) -> str:
    return f"{field.type} or null" if field.nullable else field.type


def _allowed(field: Field) -> str:
    """The allowed values in words."""
    if (listed := field.listed) is not None:
        shown = ", ".join(map(str, listed[: MOST_SHOWN if len(listed) <= MOST_SHOWN else SHOWN]))
        return shown if len(listed) <= MOST_SHOWN else f"{len(listed)} values, such as {shown}"
    limits = [f"{sign} {limit:g}" for sign, limit in (("≥", field.ge), ("≤", field.le)) if limit is not None]
    return " and ".join(limits) or ("ISO 8601; UTC where it has no zone" if field.type == "timestamp" else "")
