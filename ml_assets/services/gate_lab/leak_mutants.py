"""Mutants that know the outcome: a column of the requests that gives it away, in the newest partition alone and in all of
them."""

from collections.abc import Callable

import polars as pl

from ml_assets.core.gate_lab import mutants as m
from ml_assets.core.gate_lab.mutants import Catch, Mutation
from ml_assets.core.gates.too_good import LEAST_PAST, telling
from ml_assets.core.model.features import model_columns
from ml_assets.core.model.scoring import load_model, score_frame
from ml_assets.core.plausibility.judging import LEAST, Known, PlausibilityResult, plausible
from ml_assets.services.gate_lab.subject import MutationSubject
from ml_assets.services.watching.summaries import summary_of

SEED = 20130101
SHARE = 0.3
"""The share of rows in which the column knows the outcome."""
CLAIM = "no_column_gives_label_away"
IN_ONE, IN_ALL = "leak in one partition", "leak in all partitions"


def leak_in_one(on: MutationSubject) -> Mutation:
    """The newest partition alone: it is unlike those before it, and is held back from training."""
    if (column := _number(on)) is None:
        return Mutation(mutant=IN_ONE, about="", fate="not tried", message="no feature is a number")
    about = f"{column} of {on.case.partition} knows the outcome in {SHARE:.0%} of the rows"
    past = [Known(manifest.partition, summary_of(on.case.rows([manifest]), on.product)) for manifest in on.case.trained]
    sound, spoilt = (_answer(on, past, frame) for frame in (on.case.frame, _leaking(on, on.case.frame, column)))
    if len(past) < LEAST or not sound.is_plausible:
        message = f"{LEAST} partitions before it are needed, and there are {len(past)}" if len(past) < LEAST else sound.why
        return Mutation(mutant=IN_ONE, about=about, fate="not tried", message=message)
    if spoilt.is_plausible:
        return Mutation(
            mutant=IN_ONE, about=about, fate="let through", message=spoilt.why, advice="the code of core/plausibility is broken"
        )
    if CLAIM not in on.product.plausibility.hold:
        advice = f"declare `plausibility: {{hold: [{CLAIM}]}}`"
        message = f"{CLAIM} warns, and it is trained on all the same: {spoilt.why}"
        return Mutation(mutant=IN_ONE, about=about, fate="let through", message=message, advice=advice)
    return Mutation(mutant=IN_ONE, about=about, fate="caught", catches=(Catch(CLAIM, spoilt.why),))


def leak_in_all(on: MutationSubject) -> Mutation:
    """A candidate of the product's recipe on rows that all leak: nothing is unlike anything before, but its gain is."""
    if (column := _number(on)) is None:
        return Mutation(mutant=IN_ALL, about="", fate="not tried", message="no feature is a number")
    about = f"{column} knows the outcome in {SHARE:.0%} of all rows, trained on and tested"
    if (known := len(telling(on.case.gains))) < LEAST_PAST:
        message = f"{LEAST_PAST} earlier gains over a champion are needed to be surprised, and there are {known}"
        return Mutation(mutant=IN_ALL, about=about, fate="not tried", message=message)
    fitted = on.fitted(_leaking(on, on.trained, column))
    scored = score_frame(
        load_model(fitted.content, task=on.product.task), _leaking(on, on.case.frame, column), list(fitted.features)
    )
    return on.judged(IN_ALL, about, scored)


def _number(on: MutationSubject) -> str | None:
    """The first feature that is a number, as the request brings it if it does."""
    columns = [name for name in model_columns(on.product) if on.case.frame.schema[name].is_numeric()]
    requested = set(on.product.contract.Request.to_schema().columns)
    return next((name for name in columns if name in requested), columns[0] if columns else None)


def _leaking(on: MutationSubject, frame: pl.DataFrame, column: str) -> pl.DataFrame:
    return m.leaking(frame, column=column, label=on.product.features.label, share=SHARE, seed=SEED)


def _answer(on: MutationSubject, past: list[Known], frame: pl.DataFrame) -> PlausibilityResult:
    """The plausibility of these rows as the partition that is tested."""
    answers = plausible(past, Known(on.case.partition, summary_of(frame, on.product)), label=on.product.features.label)
    return next(answer for answer in answers if answer.claim == CLAIM)


MUTANTS: dict[str, Callable[[MutationSubject], Mutation]] = {IN_ONE: leak_in_one, IN_ALL: leak_in_all}
