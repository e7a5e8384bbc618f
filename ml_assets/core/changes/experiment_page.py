"""An experiment as Markdown: what was tried, and how it compares."""

from collections.abc import Iterator, Sequence

from ml_assets.core.changes.change import Change
from ml_assets.core.changes.comparison import ProductComparison
from ml_assets.core.changes.comparison_page import parts
from ml_assets.core.changes.review_page import changes_table
from ml_assets.core.markdown import code, text


def page(comparison: ProductComparison, changes: Sequence[Change], base: str, *, has_pictures: bool = True) -> str:
    """The whole report. Pictures are files next to it."""
    return "\n\n".join(_blocks(comparison, changes, base, has_pictures=has_pictures)) + "\n"


def _blocks(comparison: ProductComparison, changes: Sequence[Change], base: str, *, has_pictures: bool) -> Iterator[str]:
    yield f"## {comparison.outcome}: {text(comparison.product)} against {code(base[:12])}"
    if comparison.reasons:
        yield "\n".join(f"- {text(reason)}" for reason in comparison.reasons)
    if changes:
        yield changes_table(changes)
    yield from parts(comparison, has_pictures=has_pictures)
