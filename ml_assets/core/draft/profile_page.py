"""The profile of a source as one HTML page: its columns, what each is for, its limits, and the deliveries it was cut into.

Nothing is fetched and nothing runs: no script. Every text that comes in is escaped; the elements are in profile.html.jinja.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from ml_assets.core.draft.columns import SourceColumn
from ml_assets.core.draft.draft import Draft
from ml_assets.core.draft.gates import Plan
from ml_assets.core.html.rendering import rendered

TEMPLATE = Path(__file__).with_name("profile.html.jinja")

BINS = 24
MOST_BARS = 12
MOST_LEVELS = 8


@dataclass(frozen=True)
class Bar:
    """A bar from 0 to 1 of the height, with its caption."""

    height: float
    caption: str


@dataclass(frozen=True)
class Level:
    """A class in a chart of shares: its name, how dark it is (0 to 1), and for each delivery where its part begins, how high it
    is (both 0 to 1, from the bottom) and the caption."""

    name: str
    tone: float
    parts: Sequence[tuple[float, float, str]]


@dataclass(frozen=True)
class ShownColumn:
    """A column on the page."""

    name: str
    kind: str
    role: str
    tone: str
    reason: str
    missing: str
    limits: Sequence[str]
    behind: str
    alone: float | None
    bars: Sequence[Bar]
    first: str
    last: str


def page(draft: Draft, plan: Plan) -> str:
    """The page."""
    rows, history = draft.history.rows, draft.history
    means = _means(draft)
    return rendered(
        TEMPLATE,
        draft=draft,
        plan=plan,
        folds=len(plan.windows.keys) - 1,
        rows=len(history.codes.drop_nulls()),
        counts=_bars([float(count) for count in rows.values()], [f"{key}: {count:,} rows" for key, count in rows.items()]),
        means=_bars(means, [f"{key}: {mean:.4g}" for key, mean in zip(history.keys, means, strict=True)]),
        mean_name=f"share of {draft.roles.positive or 'yes'}"
        if draft.roles.task == "binary"
        else f"mean {draft.roles.label.name}",
        levels=_levels(draft),
        columns=[_shown(column, draft) for column in draft.columns.values()],
        metric=draft.separations[0].metric if draft.separations else "",
        notes=[*draft.notes, *plan.notes],
    )


def _shown(column: SourceColumn, draft: Draft) -> ShownColumn:
    role, tone, reason = _role(column, draft)
    limits = draft.limits[column.name]
    separations = {separation.column: separation.value for separation in draft.separations}
    bars, first, last = _distribution(column)
    return ShownColumn(
        name=column.name,
        kind=column.kind,
        role=role,
        tone=tone,
        reason=reason,
        missing=f"{column.missing / column.rows:.1%}" if column.missing else "",
        limits=[
            f"{name} = {_short(text)}"
            for name, text in {**limits.arguments, **limits.metadata}.items()
            if name not in ("nullable", "known")
        ],
        behind=limits.behind,
        alone=separations.get(column.name),
        bars=bars,
        first=first,
        last=last,
    )


def _role(column: SourceColumn, draft: Draft) -> tuple[str, str, str]:
    roles = draft.roles
    if column is roles.label:
        return "label", "label", ""
    if column is roles.time:
        return "time", "plain", ""
    if column.name in roles.after:
        return "outcome", "warn", roles.after[column.name]
    if not roles.key.is_made and column in roles.key.columns:
        return "key", "plain", ""
    if column.name in roles.unused:
        return "not used", "soft", roles.unused[column.name]
    if any(suspect.column == column.name for suspect in draft.suspicious):
        return "input", "warn", "it alone tells the label unusually well: is it known before?"
    return "input", "good", ""


def _distribution(column: SourceColumn) -> tuple[list[Bar], str, str]:
    """Bars of a column's values with the captions of both ends: bins of numbers and times, the most frequent texts."""
    known = column.known
    if known.is_empty():
        return [], "", ""
    if column.kind in ("text", "boolean"):
        counts = known.cast(pl.String).value_counts(sort=True).head(MOST_BARS)
        names, heights = counts[known.name].to_list(), [float(count) for count in counts["count"]]
        return (
            _bars(heights, [f"{name}: {height:,.0f} rows" for name, height in zip(names, heights, strict=True)]),
            _short(names[0]),
            "",
        )
    numbers = (known.dt.epoch("s") if column.kind == "time" else known).cast(pl.Float64).to_numpy()
    low, high, different = float(numbers.min()), float(numbers.max()), len(np.unique(numbers))
    if different == 1 or not np.spacing(max(abs(low), abs(high))) * BINS < high - low:  # too near to each other for bins
        return [Bar(1.0, f"{_value(low, column)} to {_value(high, column)}: {len(numbers):,} rows")], _value(low, column), ""
    counted, edges = np.histogram(numbers, bins=min(BINS, different))
    captions = [
        f"{_value(a, column)} to {_value(b, column)}: {n:,} rows" for n, a, b in zip(counted, edges, edges[1:], strict=False)
    ]
    return _bars([float(n) for n in counted], captions), _value(edges[0], column), _value(edges[-1], column)


def _means(draft: Draft) -> list[float]:
    """The mean label of each delivery, 0 where none is known."""
    return [float(known.mean() or 0.0) for known in _labels(draft)]  # type: ignore[arg-type]


def _labels(draft: Draft) -> list[pl.Series]:
    """The known labels of each delivery, as numbers."""
    return [draft.roles.target.filter(draft.history.rows_of(key)).drop_nulls() for key in draft.history.keys]


def _levels(draft: Draft) -> list[Level]:
    """The share of each class in each delivery, the first class at the bottom; of many classes the rarest are one."""
    classes, by_delivery = draft.roles.classes, _labels(draft)
    if not classes:
        return []
    counts = np.array([[(known == number).sum() for known in by_delivery] for number in range(len(classes))], dtype=float)
    names = [str(name) for name in classes]
    if len(names) > MOST_LEVELS:
        kept = np.sort(np.argsort(-counts.sum(axis=1), kind="stable")[: MOST_LEVELS - 1])
        others = np.delete(counts, kept, axis=0).sum(axis=0)
        counts, names = np.vstack([counts[kept], others]), [*(names[k] for k in kept), f"{len(names) - len(kept)} others"]
    shares = counts / np.maximum(counts.sum(axis=0), 1)
    starts = np.cumsum(shares, axis=0) - shares
    return [
        Level(
            name,
            1 - 0.85 * number / len(names),
            [
                (float(start), float(share), f"{key}: {share:.1%} {name}")
                for start, share, key in zip(starts[number], shares[number], draft.history.keys, strict=True)
            ],
        )
        for number, name in enumerate(names)
    ]


def _bars(values: Sequence[float], captions: Sequence[str]) -> list[Bar]:
    """Bars from 0 or, where values are below it, from the least."""
    low = min(0.0, *values) if values else 0.0
    width = (max(values) - low) if values else 0.0
    return [Bar((value - low) / width if width > 0 else 0.0, caption) for value, caption in zip(values, captions, strict=True)]


def _value(number: float, column: SourceColumn) -> str:
    if column.kind == "time":
        return str(np.datetime64(int(number), "s")).replace("T", " ").removesuffix(":00").removesuffix(" 00:00")
    return f"{number:,.4g}" if abs(number) < 1e5 else f"{number:,.0f}"


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "…"
