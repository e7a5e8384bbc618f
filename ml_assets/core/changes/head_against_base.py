"""Head's scores against base's on the same rows, by a gates block. Rows are base's: its labels, units and slices decide."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import polars as pl
from pydantic import ValidationError

from ml_assets.core.changes.walk_protocol import Counts, HeadVerdict, ReplacedGates, SliceShown, Walked
from ml_assets.core.evaluation.snapshot import judge_candidate, metrics
from ml_assets.core.model.training import labelled
from ml_assets.errors import MlAssetsError
from ml_assets.spec.gates import BudgetSpec, ClaimSpec, MinimumSpec
from ml_assets.spec.product import Product
from ml_assets.spec.sections import DecisionSpec

_WINDOW, _SCORE, _OTHER_SCORE, _OTHER_LABEL = "its window", "score of base", "score of head", "label of head"
_SIMPLE, _OTHER_SIMPLE = "baseline of base", "baseline of head"
SHOWN_SLICES = 20


class NotComparable(MlAssetsError):
    """The scores of the two sides cannot be compared row by row."""


@dataclass(frozen=True)
class SideRows:
    """The result of one side's walk: its rows, and for each its window, its score and that of a simple baseline, if there is one
    (n,). A score of several classes is an array."""

    walked: Walked
    rows: pl.DataFrame
    windows: pl.Series
    scores: pl.Series
    baseline: pl.Series | None = None

    def scored(self, score: str, simple: str) -> list[pl.Series]:
        """The scores by these names."""
        return [self.scores.alias(score), *([] if self.baseline is None else [self.baseline.alias(simple)])]


def judged(base: SideRows, head: SideRows, product: Product, gates: ReplacedGates) -> HeadVerdict:
    """Head as candidate, base as champion and anchor, on the labelled rows of base that head scores too. Raises NotComparable."""
    spec = under(product, gates)
    joint, counts = _joined(base, head, spec)
    scores = {
        "candidate": joint[_OTHER_SCORE].to_numpy(),
        "champion": joint[_SCORE].to_numpy(),
        "anchor": joint[_SCORE].to_numpy(),
    }
    if simple := [name for name in (_SIMPLE, _OTHER_SIMPLE) if name in joint.columns]:
        scores["baseline"] = joint[simple[0]].to_numpy()
    result = judge_candidate(joint, scores, product=spec, expected=base.walked.expected, has_champion=True)
    evaluation = result.evaluation.to_dict()
    record = {
        "product": product.name,
        "verdict": result.verdict.to_dict(),
        "metrics": metrics(result.evaluation),
        "metric": result.evaluation.overall[0].metric,
        "slices": [_slice(part) for part in evaluation["slices"][:SHOWN_SLICES]],
        "counts": counts,
        "evaluation": evaluation,
    }
    return msgspec.convert(record, HeadVerdict)


def under(product: Product, gates: ReplacedGates) -> Product:
    """The product with what `gates` gives in the place of its own. Raises NotComparable for what this code cannot read."""
    given: dict[str, Any] = {}
    context = {"content": {"task": product.task}}
    try:
        if gates.claims is not None:
            given["claims"] = tuple(ClaimSpec.model_validate(dict(claim), context=context) for claim in gates.claims)
        if gates.unit is not None:
            given["unit"] = gates.unit
        if gates.minimum is not None:
            given["minimum"] = MinimumSpec.model_validate(dict(gates.minimum))
        if gates.budget is not None:
            given["budget"] = BudgetSpec.model_validate(dict(gates.budget))
    except ValidationError as error:
        raise NotComparable(f"{product.name}: these gates cannot be read: {error.errors()[0]['msg']}") from None
    update: dict[str, Any] = {"gates": product.gates.model_copy(update=given)}
    if gates.threshold is not None:
        update["decision"] = DecisionSpec(threshold=gates.threshold)
    return product.model_copy(update=update)


def _joined(base: SideRows, head: SideRows, product: Product) -> tuple[pl.DataFrame, Counts]:
    key, label = list(product.features.key), product.features.label
    for name, side in (("base", base), ("head", head)):
        if absent := [column for column in (*key, label) if column not in side.rows.columns]:
            raise NotComparable(f"{product.name}: {name} has no rows with {', '.join(absent)}")
        if len(side.windows) != side.rows.height or len(side.scores) != side.rows.height:
            raise NotComparable(f"{product.name}: {name} has {side.rows.height} rows and {len(side.scores)} scores")
        if side.rows.select(key).with_columns(side.windows.alias(_WINDOW)).n_unique() != side.rows.height:
            raise NotComparable(f"{product.name}: a window of {name} repeats the key {', '.join(key)}")
    every = base.rows.with_columns(base.windows.alias(_WINDOW), *base.scored(_SCORE, _SIMPLE))
    rows = labelled(every, label=label)
    other = head.rows.select(*key, pl.col(label).alias(_OTHER_LABEL)).with_columns(
        head.windows.alias(_WINDOW), *head.scored(_OTHER_SCORE, _OTHER_SIMPLE)
    )
    types = [(column, rows.schema[column], other.schema[column]) for column in key]
    if odd := [f"{column} ({was} in base, {now} in head)" for column, was, now in types if was != now]:
        raise NotComparable(f"{product.name}: the key is of another type: {', '.join(odd)}")
    joint = rows.join(other, on=[*key, _WINDOW], how="inner", maintain_order="left")
    if joint.is_empty():
        raise NotComparable(f"{product.name}: base and head have no labelled row in common")
    was, now = (joint[name].cast(pl.Float64, strict=False) for name in (label, _OTHER_LABEL))
    return joint, Counts(
        both=joint.height,
        base_only=rows.height - joint.height,
        head_only=other.join(every, on=[*key, _WINDOW], how="anti").height,
        labels_changed=int(was.ne_missing(now).sum()),
        scores_changed=int((joint[_SCORE] != joint[_OTHER_SCORE]).sum()),
    )


def _slice(part: Mapping[str, Any]) -> SliceShown:
    first = {name: estimate for name, estimate in part["comparisons"][0].items() if name != "metric"}
    shown = {"column": part["column"], "level": part["level"], "rows": part["rows"], "estimates": first}
    return msgspec.convert(shown, SliceShown)
