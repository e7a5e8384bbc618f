"""The material of mutants: one stored comparison, its control, and models fitted again on its rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from ml_assets.core.gate_lab.mutants import Catch, Mutation, catches
from ml_assets.core.gates.verdict import Verdict
from ml_assets.core.metrics.arrays import Floats, Ints
from ml_assets.core.metrics.registry import METRICS, of_task
from ml_assets.core.model.features import model_columns
from ml_assets.core.model.scoring import load_model, score_frame
from ml_assets.core.model.training import Fitted, fit
from ml_assets.errors import MlAssetsError
from ml_assets.services.gate_lab.stored_comparisons import Case, Loaded
from ml_assets.spec.tasks import TASKS

if TYPE_CHECKING:
    from ml_assets.spec.product import Product


@dataclass(frozen=True)
class MutationSubject:
    """A stored comparison to sabotage; what has to be written goes to `folder`."""

    case: Case
    folder: Path

    @property
    def product(self) -> "Product":
        """The product, with the gates that are tried."""
        return self.case.product

    @property
    def baselines(self) -> Mapping[str, Floats]:
        """The scores of champion and anchor, none for a first release, and of the simple baseline where one is declared."""
        return {role: scores for role, scores in self.case.scores.items() if role != "candidate"}

    @property
    def serving_scores(self) -> Floats:
        """The scores of the release that serves; those of the candidate while none does."""
        return self.baselines.get("champion", self.case.scores["candidate"])

    def same(self, kept: Ints | slice = slice(None)) -> dict[str, Floats]:
        """The scores of the release that serves in the place of every model but the simple one, on the rows `kept`."""
        return {role: (scores if role == "baseline" else self.serving_scores)[kept] for role, scores in self.case.scores.items()}

    @cached_property
    def champion(self) -> Loaded:
        """The model that serves; the candidate's while none does."""
        return self.case.loaded(self.case.serving)

    @cached_property
    def control(self) -> Verdict:
        """The verdict on the release that serves, judged against itself: a claim that stops it tells no mutant apart."""
        return self.case.judge(self.same())

    @cached_property
    def trained(self) -> pl.DataFrame:
        """The rows that the candidate was fitted on."""
        return self.case.rows(self.case.trained)

    def fitted(self, frame: pl.DataFrame, *, seed: int | None = None) -> Fitted:
        """A model by the product's recipe on these rows."""
        product = self.product
        if seed is not None:
            product = product.model_copy(update={"model": product.model.model_copy(update={"seed": seed})})
        return fit(frame, product=product, columns=model_columns(product))

    def scored(self, fitted: Fitted) -> Floats:
        """Its scores of the test window."""
        return score_frame(load_model(fitted.content, task=self.product.task), self.case.frame, list(fitted.features))

    @property
    def metric(self) -> str:
        """The metric that harm is measured in."""
        return TASKS[self.product.task].harm

    def harm(self, scores: Floats) -> float:
        """By how much these scores are worse than those of what answers."""
        metric = of_task(self.product.task)[self.metric]
        y = self.case.frame[self.product.features.label].cast(pl.Float64).to_numpy()
        return metric.advantage(metric.value(y, self.serving_scores, None), metric.value(y, scores, None))

    @property
    def clear_harm(self) -> float:
        """Twice what a claim lets a candidate be worse; where none does, a tenth of the way to a useless model."""
        margins = [
            abs(claim.form.constant)
            for claim in self.product.gates.claims
            if claim.kind == "prove"
            and claim.form.models & {"champion", "anchor"}
            and claim.form.measures[0].metric == self.metric
        ]
        usual = np.broadcast_to(self.serving_scores.mean(axis=0), self.serving_scores.shape)
        return 2 * max(margins) if margins else self.harm(usual) / 10

    def judged(self, mutant: str, about: str, candidate: Floats, *, is_soft: bool = False) -> Mutation:
        """The verdict of the gates on a candidate with these scores. A soft mutant may be as harmless as a margin allows."""
        known = [scores for role, scores in self.case.scores.items() if role != "baseline"]
        if any(candidate.shape == scores.shape and np.array_equal(candidate, scores) for scores in known):
            return Mutation(mutant=mutant, about=about, fate="no change", message="it scores every row as a stored model does")
        try:
            verdict = self.case.judge({"candidate": candidate, **self.baselines})
        except MlAssetsError as error:
            return Mutation(mutant=mutant, about=about, fate="caught", catches=(Catch("evaluation", str(error)),))
        return self.mutation(mutant, about, verdict, is_soft=is_soft)

    def mutation(self, mutant: str, about: str, verdict: Verdict, *, is_soft: bool = False, advice: str = "") -> Mutation:
        """A verdict on a mutant, put in words."""
        surprised = (Catch("too_good", verdict.too_good),) if verdict.too_good and not self.control.too_good else ()
        if caught_by := (*catches(verdict, self.control), *surprised):
            return Mutation(mutant=mutant, about=about, fate="caught", catches=caught_by)
        if not verdict.is_accept:
            stopped = ", ".join(claim.name for claim in verdict.claims if claim.outcome != "PASS")
            message = f"{verdict.decision}, but only by {stopped}, which stops the release that serves now too"
            return Mutation(mutant=mutant, about=about, fate="let through", message=message, advice=advice or self._advice())
        relative = [claim for claim in verdict.claims if claim.kind == "prove" and "champion" in claim.text]
        if is_soft and relative:
            message = "; ".join(f"{claim.name}: {claim.message}" for claim in relative)
            return Mutation(mutant=mutant, about=about, fate="within the margin", message=message)
        return Mutation(mutant=mutant, about=about, fate="let through", message="ACCEPT", advice=advice or self._advice())

    def _advice(self) -> str:
        metric, sign = self.metric, "> -" if METRICS[self.metric].greater_is_better else "< "
        return (
            f"add `prove: {metric}(candidate) - {metric}(champion) {sign}MARGIN`, with a MARGIN that backtest finds no fault with"
        )
