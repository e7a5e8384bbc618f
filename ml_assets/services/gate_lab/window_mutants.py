"""Mutants of the test window and of what is asked there: a day that goes wrong, missing outcomes, gates that ask less."""

from collections.abc import Callable

import numpy as np
import polars as pl

from ml_assets.core.changes.declaration_changes import declaration_changes
from ml_assets.core.evaluation.coverage import lacking
from ml_assets.core.gate_lab import mutants as m
from ml_assets.core.gate_lab.mutants import Catch, Mutation, catches
from ml_assets.services.gate_lab.subject import MutationSubject

UNKNOWN = 5
"""One unit in this many has no known outcome."""


def storm_day(on: MutationSubject) -> Mutation:
    """The champion, upside down on the one unit that holds most of the rows."""
    codes = on.case.panel({"candidate": on.serving_scores}).codes
    worst = codes == np.bincount(codes).argmax()
    scores = np.where(
        worst if on.serving_scores.ndim == 1 else worst[:, None],
        m.inverted(on.serving_scores, task=on.product.task),
        on.serving_scores,
    )
    about = f"the release that serves, upside down on one {on.product.gates.unit} ({on.harm(scores):.3f} {on.metric} worse)"
    return on.judged("one storm day", about, scores, is_soft=True)


def unlabelled_days(on: MutationSubject) -> Mutation:
    """A window that lacks the outcomes of whole units, as after a storm."""
    label, product, frame = on.product.features.label, on.product, on.case.frame
    codes = on.case.panel({"candidate": on.serving_scores}).codes
    known = frame.with_columns(pl.when(pl.Series(codes % UNKNOWN != 0)).then(pl.col(label)).alias(label))
    before = on.case.rows(on.case.trained[-product.window.test :])
    doubt = lacking(known, before, product=product)
    about = f"no outcome of one {product.gates.unit} in {UNKNOWN}"
    return _mutation("unlabelled days", about, (Catch("evaluation", doubt),) if doubt else (), "this code's coverage is broken")


def degenerate_first_release(on: MutationSubject) -> Mutation:
    """The mean label for every row, where no release serves yet: only claims that compare with no release can stop it."""
    labels = on.trained[on.product.features.label].cast(pl.Float64).to_numpy()
    usual = m.constant(labels, on.serving_scores)
    verdict, control = (on.case.judge({"candidate": scores, **on.case.simple}) for scores in (usual, on.serving_scores))
    advice = "add a floor: a claim about the candidate alone, such as `prove: roc_auc(candidate) > 0.6`"
    about = f"{m.in_words(usual)} for every row, as a first release"
    return _mutation("degenerate first release", about, catches(verdict, control), advice)


def weakened_block(on: MutationSubject) -> Mutation:
    """The product's own gates without their first claim that is proven: a change like that is named, and a person decides."""
    gates = on.product.gates
    first = next(claim for claim in gates.claims if claim.kind == "prove")
    fewer = gates.model_copy(update={"claims": tuple(claim for claim in gates.claims if claim is not first)})
    changes = declaration_changes(on.product, on.product.model_copy(update={"gates": fewer}))
    catches_of_rules = tuple(
        Catch("gates", f"{change.name}: {change.reason}") for change in changes if change.effect == "weakened"
    )
    advice = "the code of core/changes is what names this: it is broken"
    return _mutation("weakened block", f"the gates without {first.name}", catches_of_rules, advice)


def _mutation(mutant: str, about: str, caught_by: tuple[Catch, ...], advice: str) -> Mutation:
    if caught_by:
        return Mutation(mutant=mutant, about=about, fate="caught", catches=caught_by)
    return Mutation(mutant=mutant, about=about, fate="let through", message="nothing stopped it", advice=advice)


MUTANTS: dict[str, Callable[[MutationSubject], Mutation]] = {
    "one storm day": storm_day,
    "unlabelled days": unlabelled_days,
    "degenerate first release": degenerate_first_release,
    "weakened block": weakened_block,
}
