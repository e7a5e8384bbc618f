"""The Evidently report of two scored frames: one HTML file that needs no network. It informs and decides nothing."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

import polars as pl

from ml_assets.core.metrics.arrays import Task
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
    left_out: Sequence[str] = (),
) -> bytes:
    """Drift of every column, the label and the score, and the model's quality. The title says what is shown and what is not,
    with what was `left_out` before.

    Evidently takes 40 s for a million rows, so at most `max_rows` of each side are drawn, the same for one seed.
    Both sides hold only rows with a label. What Evidently cannot draw is left out by name: a report informs, it fails nothing.
    """
    columns = list(dict.fromkeys([*numeric, *categorical, label, score]))
    before, after = (_sampled(side, columns, label, task, max_rows=max_rows, seed=seed) for side in (reference, current))
    filled = [name for name in columns if all(side[name].null_count() < side.height for side in (before, after))]
    page = _Page(
        task, label, score, threshold, before, after, numeric=set(numeric) & set(filled), others=set(categorical) & set(filled)
    )
    empty = [f"{name} (no values)" for name in columns if name not in filled]
    with _quiet():
        html = page.drawn()
    return _titled(
        html,
        title,
        _drawn(after, current, "current"),
        _drawn(before, reference, "reference"),
        [*left_out, *empty, *page.left_out],
    )


@dataclass
class _Page:
    """Evidently's page of two sides. `left_out`: what it could not draw, with the reason."""

    task: Task
    label: str
    score: str
    threshold: float | None
    before: pl.DataFrame
    after: pl.DataFrame
    numeric: set[str]
    others: set[str]
    left_out: list[str] = field(default_factory=list)

    def drawn(self) -> str:
        """The page with all that can be drawn: first everything at once, then part by part."""
        from evidently.presets import ClassificationPreset, DataDriftPreset, RegressionPreset

        quality = ClassificationPreset(probas_threshold=self.threshold) if self.task == "binary" else RegressionPreset()
        parts = {"the drift of columns": DataDriftPreset(), "the quality of the model": quality}
        html, _ = self._try(list(parts.values()))
        if html:
            return html
        if not self._try([DataDriftPreset()])[0]:
            self._drop_columns()
        drawable = [part for name, part in parts.items() if self._is_drawn(name, part)]
        return (self._try(drawable)[0] if drawable else "") or "<html><head></head><body></body></html>"

    def _is_drawn(self, name: str, part: Any) -> bool:
        html, why = self._try([part])
        if not html:
            self.left_out.append(f"{name} ({why})")
        return bool(html)

    def _drop_columns(self) -> None:
        """Leave out the columns that cannot be drawn even alone."""
        from evidently.presets import DataDriftPreset

        for name in sorted({*self.numeric, *self.others}):
            html, why = self._try([DataDriftPreset(columns=[name])])
            if not html:
                self.left_out.append(f"{name} ({why})")
                self.numeric -= {name}
                self.others -= {name}

    def _try(self, parts: Sequence[Any]) -> tuple[str, str]:
        """The page of these parts, or why it cannot be drawn."""
        from evidently import Dataset, Report

        names = [*sorted(self.numeric), *sorted(self.others), self.label, self.score]
        definition = _definition(
            self.task, label=self.label, score=self.score, numeric=sorted(self.numeric), categorical=sorted(self.others)
        )
        try:
            sides = [Dataset.from_pandas(side.select(names).to_pandas(), definition) for side in (self.after, self.before)]
            html: str = Report(list(parts)).run(*sides).get_html_str(as_iframe=False)
        except Exception as error:  # noqa: BLE001 - whatever Evidently raises, the page says what it lacks
            return "", f"{type(error).__name__}: {' '.join(str(error).split())[:100]}"
        return html, ""


def _sampled(frame: pl.DataFrame, columns: list[str], label: str, task: Task, *, max_rows: int, seed: int) -> pl.DataFrame:
    if absent := [name for name in columns if name not in frame.columns]:
        raise ReportError(f"columns {absent} are not in the frame; it has {frame.columns}")
    if frame.height == 0:
        raise ReportError("no rows: a report needs reference and current rows")
    drawn = frame.select(columns)
    drawn = drawn if frame.height <= max_rows else drawn.sample(max_rows, seed=seed)
    if task == "binary":
        drawn = drawn.with_columns(pl.col(label).cast(pl.Int64))
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


def _titled(html: str, title: str, after: str, before: str, left_out: list[str]) -> bytes:
    """Evidently's page has no title: say what it shows, and what it leaves out."""
    about = f"{after}; {before}" + (f"; could not be drawn: {', '.join(left_out)}" if left_out else "")
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
