"""Whether enough outcomes are known to judge on: what is missing is seldom missing at random (storms, say)."""

import polars as pl

from ml_assets.core.metrics.units import units
from ml_assets.errors import MlAssetsError
from ml_assets.spec.product import Product

SHORT = 0.10
"""A unit is short when it is known for so much less of its rows than usual."""
MOST_SHORT = 0.10
MOST_MISSING = 0.05
"""The share of a window's rows that may be without an outcome, beyond what is usual."""
SHOWN = 5


class OutcomesMissing(MlAssetsError):
    """No outcome of a test window is known yet."""


def lacking(tested: pl.DataFrame, before: pl.DataFrame, *, product: Product) -> str:
    """The reason why too few outcomes of the window are known, as a clause; empty if enough are. Frames hold label, time and
    unit; `before` is what came before the window, and says what is usual."""
    label, unit = product.features.label, product.gates.unit
    known = _known(tested, product)
    usual = _known(before, product)["known"].median() if before.height else None
    share = float(usual) if isinstance(usual, float) else 1.0
    missing = tested[label].null_count() / tested.height
    short = known.filter(pl.col("known") < share - SHORT)
    if unit != "row" and short.height > MOST_SHORT * known.height:
        named = ", ".join(map(str, short["unit"][:SHOWN].to_list())) + (", …" if short.height > SHOWN else "")
        return f"{short.height} of {known.height} {unit}s have a known {label} in less than {share - SHORT:.0%} of rows: {named}"
    if missing > 1 - share + MOST_MISSING:
        return f"{missing:.0%} of the rows have no known {label}, and {1 - share:.0%} are usual"
    return ""


def _known(frame: pl.DataFrame, product: Product) -> pl.DataFrame:
    """unit, known: the share of its rows whose outcome is known; of all rows where each is a unit of its own."""
    label = pl.col(product.features.label).is_not_null()
    if product.gates.unit == "row":
        return frame.select(pl.lit("all").alias("unit"), label.alias("known")).group_by("unit").agg(pl.col("known").mean())
    unit = units(frame, unit=product.gates.unit, time=product.features.time).alias("unit")
    dated = unit.dt.date() if unit.dtype.is_temporal() and product.gates.unit != "hour" else unit
    return frame.select(dated, label.alias("known")).group_by("unit").agg(pl.col("known").mean()).sort("unit")
