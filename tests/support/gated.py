"""A product with one claim of every kind, and rows that its gates judge."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import yaml

from ml_assets.core.gates import recorded as believed
from ml_assets.core.gates import unproven as locks
from ml_assets.core.gates.claims import ClaimResult, Outcome, judge_claim
from ml_assets.core.gates.panel import Panel, panel
from ml_assets.core.gates.verdict import Verdict, judge
from ml_assets.core.lineage.verdict_facts import ClaimFacts, VerdictFacts
from ml_assets.core.metrics.spread import Spread
from ml_assets.spec.gates import ClaimSpec, MinimumSpec
from ml_assets.spec.product import Product, load
from tests.support import trains

GATES: dict[str, Any] = {
    "unit": "day",
    "minimum": {"units": 20, "positives": 50, "negatives": 50},
    "budget": {"alpha": 0.05, "looks": 5, "ships": 1},
    "claims": [
        {"name": "not_worse", "prove": "roc_auc(candidate) - roc_auc(champion) > -0.05"},
        {"name": "not_worse_anchor", "prove": "roc_auc(candidate) - roc_auc(anchor) > -0.05"},
        {"name": "floor", "prove": "roc_auc(candidate) > 0.6"},
        {"name": "calibrated", "prove": "brier(candidate) - brier(champion) < 0.02"},
        {"name": "slices", "for_each": ["line"], "veto": "log_loss(candidate) - log_loss(champion) < 0.05"},
        {"name": "fair", "veto": "ratio(selection_rate, by: line) > 0.8"},
        {"name": "stable", "veto": "disagreement(candidate, champion) < 0.6"},
    ],
    "first_release": {"require": ["floor"]},
}
SMALL = MinimumSpec(units=2, positives=1, negatives=1)
LEVEL = 0.01


def product(folder: Path, gates: dict[str, Any] | None = None, *, spec: dict[str, Any] | None = None, **changes: Any) -> Product:
    """The trains with these gates, of which some keys are others, and with other sections by `spec`."""
    folder_ = folder / "trains"
    folder_.mkdir(parents=True)
    block = {name: value for name, value in ((gates or GATES) | changes).items() if value is not None}
    declared = yaml.safe_load(trains.SPEC) | {"gates": block, "decision": {"threshold": 0.3}} | (spec or {})
    (folder_ / "product.yaml").write_text(json.dumps(declared), encoding="utf-8")
    (folder_ / "contract.py").write_text(trains.CONTRACT, encoding="utf-8")
    return load(folder_)


def arguments(*, rows: int = 6000, units: int = 30, seed: int = 0, champion: float | None = 1.2) -> dict[str, Any]:
    """Columns of a window: days of equal standing, two lines, a candidate that is a little better than both others."""
    random = np.random.default_rng(seed)
    day = np.repeat(np.arange(units), rows // units)
    effect = random.normal(0, 0.3, units)[day]
    y = (random.random(day.size) < 1 / (1 + np.exp(1.2 - effect))).astype(float)

    def model(power: float) -> Any:
        return 1 / (1 + np.exp(1.5 - power * y - 0.5 * effect - random.normal(0, 1, day.size)))

    scores = {"candidate": model(1.6)}
    if champion is not None:
        scores |= {"champion": model(champion), "anchor": model(1.0)}
    columns = {"line": random.choice(["A", "B"], day.size)}
    return {"task": "binary", "y": y, "scores": scores, "unit": day, "columns": columns, "threshold": 0.3}


def window(**given: Any) -> Panel:
    return panel(**arguments(**given))


def reordered(given: dict[str, Any], order: Any) -> dict[str, Any]:
    """The same rows in another order, more than once, or only some."""
    return given | {
        "y": given["y"][order],
        "scores": {name: values[order] for name, values in given["scores"].items()},
        "unit": np.asarray(given["unit"])[order],
        "columns": {name: np.asarray(values)[order] for name, values in given["columns"].items()},
    }


def spread(error: float, units: int, skewness: float = 0.0) -> Spread:
    """The spread of independent units of equal size."""
    return Spread(
        standard_error=error,
        units=units,
        freedom=max(2, units - 1),
        skewness=skewness,
        past_skewness=skewness,
        effective_units=units,
    )


def claim(text: str, kind: str = "prove", **more: Any) -> ClaimSpec:
    return ClaimSpec.model_validate({"name": "claim", kind: text, **more})


def judged(text: str, rows: Panel, kind: str = "prove", *, level: float = LEVEL, **more: Any) -> ClaimResult:
    """One claim on these rows, with hardly any minimum."""
    options = {"minimum": SMALL, "expected": {}} | {key: more.pop(key) for key in ("minimum", "expected") if key in more}
    return judge_claim(claim(text, kind, **more), rows, level=level, **options)


def verdict(own_product: Product, rows: Panel | None = None) -> Verdict:
    return judge(own_product, rows or window())


def recorded(own_product: Product, rows: Panel | None = None) -> dict[str, Any]:
    """A verdict as JSON gives it back."""
    verdict_: dict[str, Any] = json.loads(json.dumps(verdict(own_product, rows).to_dict(), allow_nan=False))
    return verdict_


def unproven(own_product: Product, verdict: dict[str, Any], *, has_champion: bool) -> list[str]:
    """Why a verdict's JSON lets nothing through: it cannot be read, or the locks say no."""
    try:
        return locks.unproven(own_product, msgspec.convert(verdict, VerdictFacts), has_champion=has_champion)
    except msgspec.ValidationError as error:
        return [str(error)]


def outcome_again(claim: dict[str, Any], *, level: float) -> Outcome:
    """The outcome of a claim's JSON; what cannot be read decides nothing."""
    try:
        return believed.outcome_again(msgspec.convert(claim, ClaimFacts), level=level)
    except msgspec.ValidationError:
        return "UNDECIDED"


Change = Callable[[dict[str, Any]], dict[str, Any]]
