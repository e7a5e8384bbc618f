"""The Evidently report of two scored frames: one HTML file that needs no network. It informs and decides nothing."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING

import polars as pl

from ml_assets.core.metrics_types import Task
from ml_assets.errors import MlAssetsError

if TYPE_CHECKING:
    from evidently import DataDefinition

MAX_ROWS = 5000


class ReportError(MlAssetsError):
    """Frames of which no report can be made."""


def evidently_report(
    reference: pl.DataFrame,
    current: pl.DataFrame,
    *,
    task: Task,
    label: str,
    score: str,
    numeric: Sequence[str],
    categorical: Sequence[str],
    threshold: float | None = None,
    title: str = "Evaluation",
    max_rows: int = MAX_ROWS,
    seed: int = 0,
) -> bytes:
    """Drift of every column, the label and the score, and the model's quality; its title says what was drawn.

    Evidently takes 40 s for a million rows, so at most `max_rows` of each side are drawn, the same for one seed.
    Both sides hold only rows with a label.
    """
    columns = list(dict.fromkeys([*numeric, *categorical, label, score]))
    before, after = (_sampled(side, columns, max_rows=max_rows, seed=seed) for side in (reference, current))
    filled = [name for name in columns if all(side[name].null_count() < side.height for side in (before, after))]
    with _quiet():
        from evidently import Dataset, Report
        from evidently.presets import ClassificationPreset, DataDriftPreset, RegressionPreset

        quality = ClassificationPreset(probas_threshold=threshold) if task == "binary" else RegressionPreset()
        definition = _definition(
            task,
            label=label,
            score=score,
            numeric=[name for name in numeric if name in filled],
            categorical=[name for name in categorical if name in filled],
        )
        sides = [Dataset.from_pandas(side.select(filled).to_pandas(), definition) for side in (after, before)]
        html = Report([DataDriftPreset(), quality]).run(*sides).get_html_str(as_iframe=False)
    empty = [name for name in columns if name not in filled]
    return _titled(html, title, _drawn(after, current, "current"), _drawn(before, reference, "reference"), empty)


def _sampled(frame: pl.DataFrame, columns: list[str], *, max_rows: int, seed: int) -> pl.DataFrame:
    if absent := [name for name in columns if name not in frame.columns]:
        raise ReportError(f"columns {absent} are not in the frame; it has {frame.columns}")
    if frame.height == 0:
        raise ReportError("no rows: a report needs reference and current rows")
    drawn = frame.select(columns)
    drawn = drawn if frame.height <= max_rows else drawn.sample(max_rows, seed=seed)
    return drawn.with_columns(pl.col(pl.Boolean).cast(pl.String))


def _definition(task: Task, *, label: str, score: str, numeric: Sequence[str], categorical: Sequence[str]) -> "DataDefinition":
    from evidently import BinaryClassification, DataDefinition, Regression

    if task == "binary":
        return DataDefinition(
            numerical_columns=[*numeric, score],
            categorical_columns=[*categorical, label],
            classification=[BinaryClassification(target=label, prediction_probas=score, pos_label=1)],
        )
    return DataDefinition(
        numerical_columns=[*numeric, label, score],
        categorical_columns=list(categorical),
        regression=[Regression(target=label, prediction=score)],
    )


def _drawn(side: pl.DataFrame, frame: pl.DataFrame, name: str) -> str:
    drawn = "all" if side.height == frame.height else f"a sample of {side.height:,} of"
    return f"{drawn} {frame.height:,} {name} rows"


def _titled(html: str, title: str, after: str, before: str, empty: list[str]) -> bytes:
    """Evidently's page has no title: say what it shows, and which columns it leaves out."""
    about = f"{after}; {before}" + (f"; without values, so left out: {', '.join(empty)}" if empty else "")
    heading = f'<h1 style="font: 600 20px sans-serif; margin: 16px 24px 4px">{escape(title)}</h1>'
    line = f'<p style="font: 14px sans-serif; margin: 0 24px 8px">{escape(about)}</p>'
    html = html.replace("<head>", f"<head><title>{escape(title)}</title>", 1)
    return html.replace("<body>", f"<body>{heading}{line}", 1).encode()


@contextmanager
def _quiet() -> Iterator[None]:
    """Evidently and what it imports warn about their own deprecated calls and about constant columns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
