"""Facts of manifests, one frozen record a stage: what is worth knowing of a snapshot without opening it.

A manifest keeps its facts as they were recorded, because its id covers them; a reader takes them as a record. A default is
for what older code did not record, and proves nothing. Fields that are not known are passed over.
"""

from collections.abc import Mapping
from typing import Self

import msgspec

from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.lineage.verdict_facts import VerdictFacts
from ml_assets.errors import MlAssetsError


class FactsMalformed(MlAssetsError):
    """A manifest's facts do not have the shape of its stage."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """The methods that the facts of every stage share."""

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        """The manifest's facts as this record. Raises FactsMalformed with the ledger entry and the field."""
        try:
            return msgspec.convert(manifest.facts, cls)
        except msgspec.ValidationError as error:
            entry = f"ledger entry {manifest.entry}, " if manifest.entry else ""
            raise FactsMalformed(
                f"{entry}{manifest.asset} {manifest.partition}: facts: {error}; `ml-assets lineage {manifest.id[:12]}` shows them"
            ) from error


class TableFacts(Facts, frozen=True, kw_only=True):
    """raw, reference, dataset, quarantine: the rows of each table."""

    rows: Mapping[str, int]


class CountedFacts(Facts, frozen=True, kw_only=True):
    """Any stage, as far as its rows are counted: of one table or of several."""

    rows: int | Mapping[str, int] | None = None

    @property
    def count(self) -> int | None:
        """All rows together; None where the stage counts none."""
        return sum(self.rows.values()) if isinstance(self.rows, Mapping) else self.rows


class QuarantineFacts(TableFacts, frozen=True, kw_only=True):
    """`reasons`: refused rows of each table by reason code."""

    reasons: Mapping[str, Mapping[str, int]]


class FoldFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The fold of a delivery of a static table after those that the reserve folds are for: its keys (or groups), the new ones
    with a known outcome that were there for one, how many it takes, and the fold that a person reopened in its place."""

    units: int
    waiting: int
    needed: int
    reopened: int | None = None


class FeaturesFacts(Facts, frozen=True, kw_only=True):
    """`labelled`: how many of the rows have a known label; `lookups`: names of the lookup tables."""

    rows: int
    labelled: int
    lookups: tuple[str, ...]
    fold: FoldFacts | None = None


class OutcomesFacts(FeaturesFacts, frozen=True, kw_only=True):
    """`known`: outcomes that came and belong to a question of the partition; `refused`: rows by reason; `delay_days`: the median
    from the question to the outcome, where somebody says when it was known."""

    lookups: tuple[str, ...] = ()
    known: int = 0
    refused: Mapping[str, int] = {}
    delay_days: float | None = None


class LineFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One release by one way of serving (`batch` or `endpoint`) in a partition: predictions and known outcomes; the monitored
    metric and the value by name: as measured, as promised on the release's test window, and as estimated without labels, with
    why there may be no estimate."""

    release: str
    bundle: str
    source: str
    rows: int
    known: int
    positives: int | None = None
    metrics: "Mapping[str, EstimateFacts] | None" = None
    promised: Mapping[str, float | None] = {}
    estimated: Mapping[str, float | None] = {}
    note: str = ""


class PromiseFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A claim by which a release replaced another, on rows that it served: the effect that `tested_units` promised, and what
    bounds need of the units here. No units where `note` says why."""

    name: str
    text: str
    sign: str
    limit: float
    promised: float | None = None
    tested_units: int = 0
    units: int = 0
    total: float = 0.0
    squares: float = 0.0
    note: str = ""


class RealisedFacts(Facts, frozen=True, kw_only=True):
    """The served predictions of a partition, release by release; `promises` by bundle."""

    lines: tuple[LineFacts, ...] = ()
    promises: Mapping[str, tuple[PromiseFacts, ...]] = {}


class SplitFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Of a static table: the parts of its keys that were trained on, and the digest of the division that they are of."""

    parts: tuple[int, ...]
    digest: str


class ModelFacts(Facts, frozen=True, kw_only=True):
    """`train`: the partitions trained on; `loss`: the training loss at the end."""

    rows: int
    train: tuple[str, ...]
    loss: float
    split: SplitFacts | None = None


class EstimateFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A metric's value with its interval; None is undefined, and `note` says why."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    units: int = 0
    rows: int = 0
    note: str = ""


Metrics = Mapping[str, Mapping[str, EstimateFacts]]
"""Estimates by metric and by role (candidate, champion) or "difference"."""


class ComparedFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A release that a candidate was compared with: its name and its bundle's digest."""

    release: str
    bundle: str


class LookFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The look that was charged for an evaluation: its number at its test window, and what it compared."""

    number: int = 0
    comparison: str = ""


class EvaluationFacts(Facts, frozen=True, kw_only=True):
    """`candidate`: the data version of the model; `tested`: the partitions of the test window; `question`: the recipe's key
    without champion and anchor; `past`: ids of the evaluations on earlier windows that the verdict learned from; `seen_keys`:
    test rows that were left out because their key was trained on, where that is asked for. `kept_since`: of a candidate that was
    kept and asked again on pooled windows, the partition as of which it was made; empty for a new one."""

    verdict: VerdictFacts
    candidate: str
    tested: tuple[str, ...]
    champion: ComparedFacts | None = None
    anchor: ComparedFacts | None = None
    question: str = ""
    past: tuple[str, ...] = ()
    look: LookFacts = LookFacts()
    seen_keys: int | None = None
    kept_since: str = ""
    metrics: Metrics = {}

    @property
    def compared(self) -> dict[str, str]:
        """The bundle in each role that was compared with."""
        named = {"champion": self.champion, "anchor": self.anchor}
        return {role: release.bundle for role, release in named.items() if release is not None}


class OverriddenFacts(msgspec.Struct, frozen=True, kw_only=True):
    """By whose decision a release was let through in spite of its verdict."""

    by: str
    reason: str
    at: str


class ReleaseFacts(Facts, frozen=True, kw_only=True):
    """`release`: its name; `train`: the partitions that its model was trained on."""

    release: str
    train: tuple[str, ...] = ()
    split: SplitFacts | None = None
    override: OverriddenFacts | None = None


class ReportFacts(Facts, frozen=True, kw_only=True):
    """`left_out`: what could not be drawn, with the reason."""

    left_out: tuple[str, ...]


class TrackingFacts(Facts, frozen=True, kw_only=True):
    """The place in MLflow; `version` of the registered model, where there is a release."""

    mlflow_run: str
    mlflow_experiment: str
    version: str | None = None


class MonitoringFacts(Facts, frozen=True, kw_only=True):
    """`promised`: the monitored metric on the release's own test window; `metrics` are those on known outcomes."""

    rows: int
    score_psi: float
    drifted: tuple[str, ...]
    promised: float | None = None
    metrics: Metrics | None = None


class PredictionsFacts(Facts, frozen=True, kw_only=True):
    """`scored_by`: the release's name."""

    scored_by: str
    rows: int
