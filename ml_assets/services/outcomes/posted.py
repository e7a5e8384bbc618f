"""Outcomes that are posted to the endpoint: held to the contract row by row, then delivered as files like any others."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_assets.core.lineage.partitions import PartitionKeyError, partitions_of
from ml_assets.errors import MlAssetsError
from ml_assets.spec.labels import LabelsSpec
from ml_assets.spec.product import Product
from resources.landing import Landing
from resources.outcome_files import put_outcomes

if TYPE_CHECKING:
    import polars as pl

PREDICTION = "prediction"
"""The field of a posted outcome that names a prediction by its id, in place of the question's key and time."""


_Row = Mapping[str, Any]
_Answered = Mapping[str, _Row]
"""Requests by the id of the prediction that answered them."""


class OutcomesNotTaken(MlAssetsError):
    """The product takes no outcomes over HTTP."""


@dataclass(frozen=True)
class Taken:
    """The outcome of posted rows: how many were delivered, in which files, and why others were refused, by row number."""

    rows: int
    files: tuple[str, ...]
    refused: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Inbox:
    """Takes outcomes of a product. `log` is the folder of its predictions; `refresh` brings it those of other machines."""

    product: Product
    landing: Landing
    log: Path
    refresh: Callable[[], object] = lambda: None

    def take(self, rows: Sequence[Mapping[str, Any]], now: datetime | None = None) -> Taken:
        """Deliver the rows that keep the contract, one file a partition. Raises OutcomesNotTaken."""
        from ml_assets.serving.log.reader import find_requests

        labels = self._labels()
        named = [row[PREDICTION] for row in rows if isinstance(row.get(PREDICTION), str)]
        answered = find_requests(self.log, named)
        if not answered.keys() >= set(named):  # another replica may have answered
            self.refresh()
            answered = find_requests(self.log, named)
        refused: dict[int, str] = {}
        placed: dict[str, list[tuple[int, dict[str, Any]]]] = {}
        for number, row in enumerate(rows):
            try:
                partition, outcome = self._placed(row, answered, labels, now or datetime.now(UTC))
            except _RowRefused as error:
                refused[number] = str(error)
                continue
            placed.setdefault(partition, []).append((number, outcome))
        files, count = [], 0
        for partition, numbered in sorted(placed.items()):
            kept = self._valid_rows(numbered, labels, refused)
            if kept.height:
                files.append(Path(put_outcomes(self.landing, self.product, partition, _file(kept, labels))).name)
                count += kept.height
        return Taken(count, tuple(files), dict(sorted(refused.items())))

    def _labels(self) -> LabelsSpec:
        labels = self.product.labels
        if labels is None or not labels.delivered:
            raise OutcomesNotTaken(f"{self.product.name} takes no outcomes: declare `labels.delivered` in its product.yaml")
        spec = labels.delivered[labels.outcomes_table]
        if spec.format == "csv" and (spec.datetime_format != "iso" or spec.decimal != "." or spec.compression != "none"):
            raise OutcomesNotTaken(
                f"{self.product.name}: labels.delivered.{labels.outcomes_table} is a CSV file with its own times, decimals or "
                "compression, which posted outcomes are not written in; let it be delivered as a file, or as Parquet"
            )
        return labels

    def _placed(
        self, row: Mapping[str, Any], answered: _Answered, labels: LabelsSpec, now: datetime
    ) -> tuple[str, dict[str, Any]]:
        """The partition of the question, and the row of the table."""
        features, outcome = self.product.features, dict(row)
        question = _request_of(outcome.pop(PREDICTION), answered) if PREDICTION in outcome else outcome
        at = question.get(features.time)
        key = {name: question.get(name) for name in features.key}
        if missing := [name for name, value in key.items() if value is None]:
            raise _RowRefused(f"{missing[0]}: is missing; give the whole key, or the id of the prediction as '{PREDICTION}'")
        if not isinstance(at, str):
            raise _RowRefused(f"{features.time}: is missing; give the question's time, or the id of the prediction")
        outcome = {name: value for name, value in outcome.items() if name != features.time or features.time in features.key}
        spec = labels.delivered[labels.outcomes_table]
        known = {spec.time: outcome.get(spec.time) or now.replace(tzinfo=None).isoformat()} if spec.time else {}
        return self._partition(at), {**outcome, **key, **known}

    def _partition(self, at: str) -> str:
        calendar = partitions_of(self.product)
        try:
            moment = datetime.fromisoformat(at)
            if moment.tzinfo is not None:
                moment = moment.astimezone(UTC).replace(tzinfo=None)
            return calendar.require(calendar.key_of(moment))
        except (ValueError, OverflowError, PartitionKeyError) as error:  # a year that UTC does not have overflows
            raise _RowRefused(f"{self.product.features.time}: {error}") from error

    def _valid_rows(
        self, numbered: Sequence[tuple[int, dict[str, Any]]], labels: LabelsSpec, refused: dict[int, str]
    ) -> "pl.DataFrame":
        """The rows that keep the contract; the reasons of the others go to `refused`."""
        from ml_assets.builders.outcomes import audited

        frame = _frame([row for _, row in numbered])
        table, wrong = audited(frame, self.product, labels)
        if table is None:
            refused |= {number: wrong for number, _ in numbered}
            return frame.clear()
        reasons = dict(table.refused.select("row", "reason").rows())
        for place, reason in reasons.items():
            value = numbered[place][1].get(self.product.features.label)
            refused[numbered[place][0]] = f"{reason} ({self.product.features.label}: {json.dumps(value)})"
        return table.valid


def _request_of(prediction: Any, answered: _Answered) -> Mapping[str, Any]:
    """The request that a prediction answered."""
    if not isinstance(prediction, str) or prediction not in answered:
        raise _RowRefused(f"{PREDICTION}: no prediction with this id is in the log; one of this minute may not be written yet")
    return answered[prediction]


class _RowRefused(Exception):
    """Why one posted row is not taken."""


def _frame(rows: Sequence[Mapping[str, Any]]) -> "pl.DataFrame":
    """The rows as text, as a CSV file would hold them."""
    import polars as pl

    names = list(dict.fromkeys(name for row in rows for name in row))
    return pl.DataFrame({name: [_text(row.get(name)) for row in rows] for name in names}, schema=dict.fromkeys(names, pl.String))


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)


def _file(kept: "pl.DataFrame", labels: LabelsSpec) -> bytes:
    spec = labels.delivered[labels.outcomes_table]
    if spec.format == "parquet":
        file = BytesIO()
        kept.write_parquet(file)
        return file.getvalue()
    null, quote = (spec.null_values or ("",))[0], spec.quote or '"'
    text = kept.write_csv(separator=spec.separator, null_value=null, quote_char=quote, datetime_format="%Y-%m-%dT%H:%M:%S%.f")
    return text.encode(spec.encoding)
