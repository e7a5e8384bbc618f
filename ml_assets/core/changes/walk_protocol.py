"""The files that the processes of a comparison hand to each other: JSON next to two Parquet files. Each side is run by its own
code, so a reader passes over fields that it does not know.

`walk` writes walk.json (`Walked`), features.parquet (the labelled and unlabelled rows of all windows) and scores.parquet (in the
same order: the window and the score of each row, and that of the simple baseline where one is declared). `judge` reads two of
them and writes judged.json (`HeadVerdict`); base's walk does that itself, and writes production.json (`Production`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ml_assets.core.lineage.facts import EstimateFacts
from ml_assets.core.lineage.verdict_facts import VerdictFacts

PROTOCOL = 1
WALKED, ROWS, SCORES, JUDGED = "walk.json", "features.parquet", "scores.parquet", "judged.json"
PRODUCTION = "production.json"
WINDOW, SCORE, BASELINE = "window", "score", "baseline"
Metrics = Mapping[str, Mapping[str, EstimateFacts]]
"""Estimates by metric and by role: candidate, champion, difference."""


class WalkWindow(msgspec.Struct, frozen=True, kw_only=True):
    """One window: `partition` is its last one, `tested` and `trained` are partitions, `model` is the model's fingerprint."""

    partition: str
    tested: tuple[str, ...]
    trained: tuple[str, ...]
    model: str


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one asset check in one partition, or why a partition could not be built (`claim` is then empty)."""

    stage: str
    partition: str
    claim: str = ""
    passed: bool = False
    severity: str = "ERROR"
    description: str = ""

    @property
    def is_failure(self) -> bool:
        """Whether it failed with severity ERROR; a warning is not a failure."""
        return not self.passed and self.severity == "ERROR"

    @property
    def subject(self) -> tuple[str, str, str]:
        """Stage, partition and claim: the same on both sides."""
        return (self.stage, self.partition, self.claim)


class Walked(msgspec.Struct, frozen=True, kw_only=True):
    """One side's walk. `expected`: levels by column that the rows before the windows had in enough units; `refused`: refused rows
    by table, over the partitions of the windows and the newest ones; `built`, `reused`: snapshots; `seconds`: CPU seconds."""

    protocol: int = PROTOCOL
    product: str
    windows: tuple[WalkWindow, ...]
    expected: Mapping[str, Sequence[str]] = {}
    checks: tuple[Check, ...] = ()
    refused: Mapping[str, int] = {}
    built: int = 0
    reused: int = 0
    seconds: float = 0.0


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that were joined by key (`both`), and rows whose key only one side has. `labels_changed` and `scores_changed` are of
    the joined ones."""

    both: int
    base_only: int = 0
    head_only: int = 0
    labels_changed: int = 0
    scores_changed: int = 0


class Production(msgspec.Struct, frozen=True, kw_only=True):
    """The release that serves in production, as base sees it. `windows`: those that it was not trained on; it was let through
    on some of them, so they flatter it. `judged`: head against it there; `note`: why that could not be."""

    release: str = ""
    windows: tuple[str, ...] = ()
    judged: "HeadVerdict | None" = None
    note: str = ""


class SliceShown(msgspec.Struct, frozen=True, kw_only=True):
    """One level of one column: the first metric on its rows."""

    column: str
    level: str
    rows: int
    estimates: Mapping[str, EstimateFacts]


class HeadVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict of one side's gates on head against base, on the joined rows. `metric` is the one that slices are measured by;
    `evaluation` is all that was measured (core.evaluation.result), for pictures."""

    protocol: int = PROTOCOL
    product: str
    verdict: VerdictFacts
    metrics: Metrics
    metric: str
    slices: tuple[SliceShown, ...] = ()
    counts: Counts
    evaluation: Mapping[str, Any] = {}


class MovedFeature(msgspec.Struct, frozen=True, kw_only=True):
    """One feature that only one side has (`effect` added or removed) or whose values differ: the share of rows on which they do,
    and the mean of each side where it is a number."""

    feature: str
    effect: str
    share: float | None = None
    base_mean: float | None = None
    head_mean: float | None = None


class ReplacedGates(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a gates block that replace the product's own: JSON of product.yaml; None is the product's own."""

    claims: tuple[Mapping[str, Any], ...] | None = None
    unit: str | None = None
    minimum: Mapping[str, Any] | None = None
    budget: Mapping[str, Any] | None = None
    threshold: float | None = None
