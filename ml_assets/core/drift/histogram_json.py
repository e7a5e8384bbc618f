"""Histograms as JSON, as snapshots and the cache keep them."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from ml_assets.core.drift.histograms import Histogram, Levels, NumberBins


def to_json(histograms: Mapping[str, Histogram]) -> bytes:
    """By column, in the order given."""
    return json.dumps({name: _content(histogram) for name, histogram in histograms.items()}, allow_nan=False).encode()


def from_json(content: bytes) -> dict[str, Histogram]:
    """Read what `to_json` returned."""
    return {name: _histogram(content) for name, content in json.loads(content).items()}


def _content(histogram: Histogram) -> dict[str, Any]:
    counted = {"kind": histogram.kind, "counts": histogram.counts.tolist(), "missing": histogram.missing}
    if isinstance(histogram, NumberBins):
        return counted | {"exponent": histogram.exponent, "bins": histogram.bins.tolist()}
    return counted | {"levels": list(histogram.levels), "other": histogram.other}


def _histogram(content: Mapping[str, Any]) -> Histogram:
    counts = np.array(content["counts"], dtype=np.int64)
    if content["kind"] == "numbers":
        return NumberBins(content["exponent"], np.array(content["bins"], dtype=np.int64), counts, content["missing"])
    return Levels(tuple(content["levels"]), counts, content["other"], content["missing"])
