"""A review as Markdown for a pull request: the verdict first, then what changed, then what is made again."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from ml_assets.core.changes.change import Change
from ml_assets.core.changes.comparison_page import parts
from ml_assets.core.changes.review import TRAILER, Review, change_id
from ml_assets.core.changes.stale_stages import StaleStage
from ml_assets.core.markdown import code, prose, table, text

SIGNS = {"UNCHANGED": "✅", "ACCEPT": "✅", "INCONCLUSIVE": "❔", "REJECT": "❌", "WEAKENED": "⛔"}
EFFECTS = {"weakened": "**weakened**", "strengthened": "strengthened", "changed": "changed"}
MOST_CAUSES = 6


def page(review: Review, *, has_pictures: bool = True) -> str:
    """The whole report. Pictures are files next to it: without them it can be read anywhere."""
    return "\n\n".join(_parts(review, has_pictures=has_pictures)) + "\n"


def _parts(review: Review, *, has_pictures: bool) -> Iterator[str]:
    yield f"## {SIGNS[review.outcome]} {review.outcome}: {code(review.head[:12])} against {code(review.base[:12])}"
    yield "\n".join(f"- {prose(reason)}" for reason in review.reasons)
    if review.is_dirty:
        yield "The work tree holds changes that are in no commit; they are part of this report."
    if review.outcome == "WEAKENED":
        yield _how_to_acknowledge(review)
    if review.changes:
        yield "### What changed"
        yield changes_table(review.changes)
    for comparison in review.comparisons:
        yield from parts(comparison, has_pictures=has_pictures)
    if review.acknowledged:
        yield "### Acknowledged"
        rows = [[text(f"{item.product}/{item.name}"), text(item.reason)] for item in review.acknowledged]
        yield table(["weakened", "reason given"], rows)
    if review.unread:
        yield f"Trailers that acknowledge nothing: {', '.join(code(trailer) for trailer in review.unread)}"
    if review.stale:
        yield "### What merging rebuilds"
        yield table(["product", "stage", "partitions", "CPU s", "because of"], [_stale_row(stage) for stage in review.stale])
    if review.serving:
        serving = ", ".join(f"{text(product)}: {code(release)}" for product, release in review.serving.items())
        yield f"Until a new release passes its gates, these serve on: {serving}."
    if review.seconds is not None:
        yield f"Judged in {review.seconds:.0f} CPU seconds."


def changes_table(changes: Sequence[Change]) -> str:
    """The changes as a Markdown table."""
    return table(["product", "what", "effect", "before", "after", "why"], [_row(change) for change in changes])


def _how_to_acknowledge(review: Review) -> str:
    open_ones = {change_id(c) for c in review.changes if c.effect == "weakened"}
    open_ones -= {f"{item.product}/{item.name}" for item in review.acknowledged}
    lines = [f"- {code(f'{TRAILER}: {name}: why it may ask less')}" for name in sorted(open_ones)]
    return "If this is meant, say so at the end of a commit's message:\n\n" + "\n".join(lines)


def _row(change: Change) -> list[str]:
    shown = [code(_value(value)) if value is not None else "" for value in (change.old, change.new)]
    return [text(change.product), code(change.name), EFFECTS[change.effect], *shown, prose(change.reason)]


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _stale_row(stage: StaleStage) -> list[str]:
    more = [f"and {len(stage.causes) - MOST_CAUSES} more"] if len(stage.causes) > MOST_CAUSES else []
    counts = ["" if stage.partitions is None else str(stage.partitions), "" if stage.seconds is None else f"{stage.seconds:.0f}"]
    return [text(stage.product), code(stage.stage), *counts, text("; ".join([*stage.causes[:MOST_CAUSES], *more]))]
