"""Stored comparisons, opened again: the rows, scores and models of one evaluation, for commands that try gates on the past."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ml_assets.core.lineage.facts import EvaluationFacts
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.errors import MlAssetsError
from ml_assets.spec.base_section import Section
from ml_assets.spec.gates import GateSpec
from ml_assets.spec.product import Product
from ml_assets.spec.task_rules import needs_threshold
from ml_assets.spec.yaml_file import SpecFileProblems, read_model, unknown_name
from resources.lineage import Lineage

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from catboost import CatBoost

    from ml_assets.core.gates.history import History
    from ml_assets.core.gates.panel import Panel
    from ml_assets.core.gates.verdict import Verdict
    from ml_assets.core.lineage.verdict_facts import GainFacts


class NothingStored(MlAssetsError):
    """There is no evaluation to try gates on."""


class PolicyError(MlAssetsError):
    """A file whose `gates:` block cannot be used; lists everything that is wrong with it."""


class GatesFile(Section):
    """The content of a policy file."""

    gates: GateSpec


def under(product: Product, policy: Path | None) -> Product:
    """The product with the gates of a policy file in the place of its own."""
    if policy is None:
        return product
    try:
        gates = read_model(policy, GatesFile, context={"content": {"task": product.task}}).gates
    except SpecFileProblems as error:
        raise PolicyError("\n".join(map(str, error.problems))) from None
    if product.decision is None and (named := [claim.name for claim in gates.claims if needs_threshold(claim.form)]):
        raise PolicyError(f"{policy}: claim '{named[0]}' is about decisions, and {product.name} has no decision threshold")
    return product.model_copy(update={"gates": gates})


@dataclass(frozen=True)
class Loaded:
    """A stored model and the features that it was fitted on."""

    model: "CatBoost"
    features: list[dict[str, str]]

    def score(self, frame: "pl.DataFrame") -> "np.ndarray":
        """Its scores of these rows, by the function that serves."""
        from ml_assets.core.model.scoring import score_frame

        return score_frame(self.model, frame, self.features)


@dataclass(frozen=True)
class Case:
    """One stored comparison. `product` carries the gates that it is judged by."""

    lineage: Lineage
    product: Product
    evaluation: Manifest

    @property
    def partition(self) -> str:
        """The partition of the evaluation."""
        return self.evaluation.partition

    @cached_property
    def inputs(self) -> list[Manifest]:
        """The manifests that the evaluation was made from."""
        return self.lineage.inputs(self.evaluation)

    @cached_property
    def model(self) -> Manifest:
        """The candidate."""
        return next(m for m in self.inputs if m.recipe.stage == "model")

    @cached_property
    def tested(self) -> list[Manifest]:
        """The features of the test window, oldest first."""
        return self.lineage.tested(self.evaluation)

    @cached_property
    def trained(self) -> list[Manifest]:
        """The features that the candidate was fitted on."""
        return self.lineage.inputs(self.model)

    @cached_property
    def serving(self) -> Manifest:
        """The champion's release; the candidate's model while there is no champion."""
        champion = EvaluationFacts.of(self.evaluation).compared.get("champion")
        return next((m for m in self.inputs if m.snapshot == champion), self.model)

    @cached_property
    def frame(self) -> "pl.DataFrame":
        """The labelled rows of the test window, in the order of the scores."""
        from ml_assets.core.model.seen_keys import unseen
        from ml_assets.core.model.split import tested_on

        rows = tested_on(self._stacked(self.tested), self.product, partition=self.partition)
        if self.product.keys.across_partitions == "refuse":
            rows = unseen(rows, self._stacked(self.trained), product=self.product)
        return self._labelled(rows)

    @cached_property
    def scores(self) -> "Mapping[str, np.ndarray]":
        """The stored scores by role; those of the simple baseline as its declaration has them."""
        from ml_assets.core.metrics.score_columns import has, of_columns

        kept = self.lineage.snapshots.frame(self.evaluation.snapshot, "scores.parquet")
        key = list(self.product.features.key)
        if not kept.select(key).equals(self.frame.select(key)):
            raise NothingStored(f"{self.evaluation.asset} {self.partition}: its scores are of other rows than its features")
        classes = self.product.features.class_names
        roles = [role for role in ("candidate", "champion", "anchor") if has(kept, role, classes)]
        scores = {role: of_columns(kept, role, classes) for role in roles}
        return scores | self.simple

    @cached_property
    def simple(self) -> "dict[str, np.ndarray]":
        """The scores of the simple baseline, by its role; nothing where none is declared."""
        from ml_assets.core.model.baseline import baseline_scores

        spec = self.product.gates.baselines.baseline
        if spec is None:
            return {}
        return {"baseline": baseline_scores(spec, self.rows(self.trained), self.frame, product=self.product)}

    @cached_property
    def expected(self) -> dict[str, list[str]]:
        """The levels that the window should hold, told by the rows before it."""
        from ml_assets.core.evaluation.snapshot import levels_of

        self._refuse_unknown_columns()
        return levels_of(self.rows(self.trained[-self.product.window.test :]), product=self.product)

    @cached_property
    def gains(self) -> "list[GainFacts]":
        """The gains of the candidates that the stored verdict learned from."""
        from ml_assets.core.gates.too_good import earlier_gains

        past = (self.lineage.ledger.manifest(id) for id in EvaluationFacts.of(self.evaluation).past)
        verdicts = [EvaluationFacts.of(manifest).verdict for manifest in past if manifest is not None]
        return earlier_gains(verdicts, metric=self.product.gates.metric, unit=self.product.gates.unit)

    def loaded(self, manifest: Manifest) -> "Loaded":
        """The model of a model or release manifest."""
        from ml_assets.core.model.scoring import load_model

        model = load_model(self.lineage.snapshots.path(manifest.snapshot, "model.cbm"), task=self.product.task)
        about = "model.json" if manifest.recipe.stage == "model" else "bundle.json"
        return Loaded(model, json.loads(self.lineage.snapshots.read(manifest.snapshot, about))["features"])

    def rows(self, features: Sequence[Manifest]) -> "pl.DataFrame":
        """The labelled rows of these features, in their order, that the candidate may train on."""
        from ml_assets.core.model.split import trained_on

        return self._labelled(trained_on(self._stacked(features), self.product, partition=self.partition))

    def _stacked(self, features: Sequence[Manifest]) -> "pl.DataFrame":
        import polars as pl

        from ml_assets.core.model.split import rows_of

        return pl.concat(rows_of(self.lineage.handle(manifest), self.product) for manifest in features)

    def _labelled(self, rows: "pl.DataFrame") -> "pl.DataFrame":
        from ml_assets.core.model.training import labelled

        return labelled(rows, label=self.product.features.label)

    def panel(self, scores: "Mapping[str, np.ndarray]", frame: "pl.DataFrame | None" = None) -> "Panel":
        """Rows and scores as gates see them."""
        from ml_assets.core.evaluation.snapshot import panel_of

        self._refuse_unknown_columns()
        return panel_of(self.frame if frame is None else frame, scores, product=self.product)

    def judge(
        self, scores: "Mapping[str, np.ndarray]", *, frame: "pl.DataFrame | None" = None, past: "History | None" = None
    ) -> "Verdict":
        """The verdict on these scores, by the code that judges candidates; nothing is charged or written."""
        from ml_assets.core.gates.verdict import judge

        return judge(self.product, self.panel(scores, frame), expected=self.expected, past=past, gains=self.gains)

    def _refuse_unknown_columns(self) -> None:
        """A policy may divide by any column of the features, and by nothing else."""
        for name in self.product.gates.slices:
            if name not in self.frame.columns:
                allowed = unknown_name(name, allowed=self.frame.columns)
                raise PolicyError(
                    f"{self.product.name}: gates divide by '{name}', which is not a column of the features; {allowed}"
                )


def cases(lineage: Lineage, product: Product) -> list[Case]:
    """Every stored evaluation of the product, in the order of partitions."""
    current = (
        lineage.ledger.current(product.name, "evaluation", key) for key in lineage.ledger.partitions(product.name, "evaluation")
    )
    stored = [Case(lineage, product, evaluation) for evaluation in current if evaluation is not None]
    if not stored:
        raise NothingStored(f"{product.name}: nothing is evaluated yet; `ml-assets run {product.name}` runs the path")
    return stored


def case_of(lineage: Lineage, product: Product, partition: str | None) -> Case:
    """The evaluation of a partition; without one, the newest that compares with a champion."""
    stored = cases(lineage, product)
    if partition is None:
        compared = [case for case in stored if EvaluationFacts.of(case.evaluation).champion]
        return (compared or stored)[-1]
    named = {case.partition: case for case in stored}
    if partition not in named:
        raise NothingStored(f"{product.name} {partition}: nothing is evaluated; {unknown_name(partition, allowed=named)}")
    return named[partition]
