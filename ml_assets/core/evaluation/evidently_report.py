"""Evidently's pages of two frames, each one HTML file that needs no network. They inform and decide nothing."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import polars as pl

from ml_assets.core.evaluation.packed_page import packed
from ml_assets.core.metrics.arrays import Task
from ml_assets.errors import MlAssetsError

if TYPE_CHECKING:
    from evidently import DataDefinition

MAX_ROWS = 5000
MOVED, DETECTED = "share of rows that moved", "“Detected”"
EMPTY = "<html><head></head><body></body></html>"
_FITS = (
    "<style>html, body { margin: 0; max-width: 100%; overflow-x: auto; } .MuiPaper-root { overflow-x: auto !important; }</style>"
)
"""Evidently cuts off what is wider than its frame: its tables need 930 pixels."""


class ReportError(MlAssetsError):
    """Frames of which no report can be made."""


@dataclass(frozen=True)
class ColumnShift:
    """The product's verdict on a column: the share of its rows that moved, the greatest that is usual, and whether the
    column exceeds."""

    share: float
    usual: float
    exceeds: bool


@contextmanager
def _quiet() -> Iterator[None]:
    """Evidently and what it imports warn of their own deprecated calls and of constant columns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@_quiet()
def quality_report(
    reference: pl.DataFrame,
    current: pl.DataFrame,
    *,
    task: Task,
    label: str,
    score: str,
    threshold: float | None = None,
    title: str = "Evaluation",
    max_rows: int = MAX_ROWS,
    seed: int = 0,
    left_out: Sequence[str] = (),
) -> bytes:
    """Evidently's page of a model's quality: `score` against `label` on both sides, which hold only rows with a label. Of several
    classes both are the names of one.

    At most `max_rows` rows of each side are drawn, the same for one seed; the heading says so, with what was `left_out` before.
    What Evidently cannot draw is named instead, the current rows alone where it is the reference: a report informs, it fails
    nothing. Raises ReportError when a column is absent or a side is empty.
    """
    from evidently.presets import ClassificationPreset, RegressionPreset

    sides = [_sampled(side, [label, score], max_rows=max_rows, seed=seed) for side in (current, reference)]
    if task == "binary":
        sides = [side.with_columns(pl.col(label).cast(pl.Int64)) for side in sides]
    preset: Any = RegressionPreset() if task == "regression" else ClassificationPreset(probas_threshold=threshold)
    html, why = _drawn(preset, sides, _definition(task, label, score, sides))
    missing = [] if html else [f"the quality of the model ({why})"]
    if not html:
        html, _ = _drawn(preset, sides[:1], _definition(task, label, score, sides[:1]))
        missing = [f"the reference rows ({why})"] if html else missing
    return _titled(html or EMPTY, title, [*_shown(sides, (current, reference)), *_without([*left_out, *missing])])


def _definition(task: Task, label: str, score: str, sides: Sequence[pl.DataFrame]) -> "DataDefinition":
    """What the columns are to Evidently. It takes rows in which only two of several classes occur for a binary task, and asks for
    the class that is the yes."""
    from evidently import BinaryClassification, DataDefinition, MulticlassClassification, Regression

    if task == "regression":
        return DataDefinition(numerical_columns=[label, score], regression=[Regression(target=label, prediction=score)])
    if task == "binary":
        answers = BinaryClassification(target=label, prediction_probas=score, pos_label=1)
        return DataDefinition(numerical_columns=[score], categorical_columns=[label], classification=[answers])
    occur = [{*side[label], *side[score]} for side in sides]
    if len(occur[0]) == 2 and (shared := set.intersection(*occur)):
        answers = BinaryClassification(target=label, prediction_labels=score, pos_label=max(shared))
        return DataDefinition(categorical_columns=[label, score], classification=[answers])
    several = MulticlassClassification(target=label, prediction_labels=score)
    return DataDefinition(categorical_columns=[label, score], classification=[several])


@_quiet()
def drift_report(
    reference: pl.DataFrame,
    current: pl.DataFrame,
    *,
    numeric: Sequence[str],
    categorical: Sequence[str],
    title: str,
    verdict: str,
    moved: Mapping[str, ColumnShift],
    max_rows: int = MAX_ROWS,
    seed: int = 0,
) -> bytes:
    """Evidently's page of how columns differ between two frames. `verdict` is the product's own sentence and stands above it;
    `moved` is what it says of each column, which Evidently shows in place of tests of its own: at their fixed limits weeks that
    differ as weeks do are drift.

    At most `max_rows` rows of each side are drawn, the same for one seed: Evidently takes 40 s for a million. A column that it
    cannot draw, or that has no values on a side, is named in the heading. Raises ReportError as `quality_report` does.
    """
    from evidently import DataDefinition

    columns = [*numeric, *categorical]
    sides = [_sampled(side, columns, max_rows=max_rows, seed=seed) for side in (current, reference)]
    reasons = {name: "no values" for name in columns if any(side[name].null_count() == side.height for side in sides)}
    reasons |= {name: "no verdict" for name in columns if name not in moved}

    def page(names: Sequence[str]) -> tuple[str, str]:
        shown = [name for name in names if name not in reasons]
        of = [[name for name in kind if name in shown] for kind in (numeric, categorical)]
        definition = DataDefinition(numerical_columns=of[0], categorical_columns=of[1])
        return _drawn(_as_judged({name: moved[name] for name in shown}), [side.select(shown) for side in sides], definition)

    html, _ = page(columns)
    if not html:
        reasons |= {name: why for name in columns if name not in reasons for drawn, why in [page([name])] if not drawn}
        html, _ = page(columns)
    without = _without([f"{name} ({why})" for name, why in reasons.items()])
    own = f"{DETECTED} is what moved more than the past allows; an alarm takes it in one of the two partitions before, too"
    apart = [name for name, column in moved.items() if column.exceeds and name not in columns]
    without += [f"not a column by itself: {', '.join(apart)}"] if apart else []
    return _titled(html or EMPTY, title, [*_shown(sides, (current, reference)), own, *without], lead=verdict)


def _as_judged(moved: Mapping[str, ColumnShift]) -> Any:
    """Evidently's preset with what the verdict says of each column as its test."""
    from evidently.legacy.calculations.stattests import StatTest, register_stattest
    from evidently.legacy.core import ColumnType
    from evidently.presets import DataDriftPreset

    def as_judged(reference: Any, current: Any, kind: ColumnType, threshold: float) -> tuple[float, bool]:
        column = moved[reference.name]
        return column.share, column.exceeds

    kinds = [ColumnType.Numerical, ColumnType.Categorical]
    register_stattest(StatTest(MOVED, MOVED, kinds), as_judged)  # under one name, so that a later page replaces it
    usual = {name: column.usual for name, column in moved.items()}
    return DataDriftPreset(
        method=MOVED, per_column_threshold=usual, drift_share=round(0.9 / max(len(moved), 1), 3)
    )  # one column is enough


def _sampled(frame: pl.DataFrame, columns: Sequence[str], *, max_rows: int, seed: int) -> pl.DataFrame:
    if absent := [name for name in columns if name not in frame.columns]:
        raise ReportError(f"columns {absent} are not in the frame; it has {frame.columns}")
    if frame.height == 0:
        raise ReportError("no rows: a report needs reference and current rows")
    rows = frame.select(columns)
    rows = rows if frame.height <= max_rows else rows.sample(max_rows, seed=seed)
    return rows.with_columns(pl.col(pl.Boolean).cast(pl.String))


def _drawn(preset: Any, sides: Sequence[pl.DataFrame], definition: "DataDefinition") -> tuple[str, str]:
    """Evidently's page of two sides, or why it cannot be drawn."""
    from evidently import Dataset, Report

    try:
        datasets = [Dataset.from_pandas(side.to_pandas(), definition) for side in sides]
        html: str = Report([preset]).run(*datasets).get_html_str(as_iframe=False)
    except Exception as error:  # noqa: BLE001 - whatever Evidently raises, the page says what it lacks
        return "", f"{type(error).__name__}: {' '.join(str(error).split())[:100]}"
    return html, ""


def _shown(sides: Sequence[pl.DataFrame], frames: Sequence[pl.DataFrame]) -> list[str]:
    """How many rows of each side are shown."""
    return [
        f"{'all' if side.height == frame.height else f'a sample of {side.height:,} of'} {frame.height:,} {name} rows"
        for name, side, frame in zip(("current", "reference"), sides, frames, strict=True)
    ]


def _without(names: Sequence[str]) -> list[str]:
    return [f"could not be drawn: {', '.join(names)}"] if names else []


def _titled(html: str, title: str, lines: Sequence[str], *, lead: str = "") -> bytes:
    """Evidently's page, packed, with what it lacks: a title, what it shows and leaves out, a width that fits a frame."""
    heading = f'<h1 style="font: 600 20px sans-serif; margin: 16px 24px 4px">{escape(title)}</h1>'
    heading += f'<p style="font: 600 15px sans-serif; margin: 0 24px 4px">{escape(lead)}</p>' if lead else ""
    heading += f'<p style="font: 14px sans-serif; margin: 0 24px 8px">{escape("; ".join(lines))}</p>'
    html = html.replace("<head>", f"<head><title>{escape(title)}</title>{_FITS}", 1)
    return packed(html.replace("<body>", f"<body>{heading}", 1), title=title, heading=heading)
