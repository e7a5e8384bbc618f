"""Mutants of models and scores, each judged in memory as a candidate against the stored champion and anchor."""

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from ml_assets.core.evaluation.snapshot import levels_of
from ml_assets.core.gate_lab import mutants as m
from ml_assets.core.gate_lab.mutants import Mutation
from ml_assets.core.metrics.arrays import Floats
from ml_assets.services.claims import LATENCY_HOLDS
from ml_assets.services.gate_lab.subject import MutationSubject
from ml_assets.spec.sections import STAGING_LINE

SEED = 20130101
SCALE = 100.0


def shuffled_labels(on: MutationSubject) -> Mutation:
    """The product's recipe, fitted on labels that belong to other rows."""
    about = "the same recipe on rows with each other's labels"
    fitted = on.fitted(m.shuffled(on.trained, label=on.product.features.label, seed=SEED))
    return on.judged("shuffled labels", about, on.scored(fitted))


def constant_scores(on: MutationSubject) -> Mutation:
    """The mean label as the score of every row."""
    labels = on.trained[on.product.features.label].cast(pl.Float64).to_numpy()
    scores = m.constant(labels, on.serving_scores)
    return on.judged("constant scores", f"{m.in_words(scores)} for every row", scores)


def inverted_scores(on: MutationSubject) -> Mutation:
    """The champion's scores upside down."""
    return on.judged("inverted scores", "high where it was low", m.inverted(on.serving_scores, task=on.product.task))


def misaligned_scores(on: MutationSubject) -> Mutation:
    """The champion's scores, each given to another row."""
    return on.judged("misaligned scores", "each row has the score of another one", m.misaligned(on.serving_scores))


def nan_scores(on: MutationSubject) -> Mutation:
    """The champion's scores, one in a hundred of them NaN."""
    return on.judged("NaN scores", "one score in a hundred is not a number", m.with_nan(on.serving_scores))


def stale_model(on: MutationSubject) -> Mutation:
    """The earliest partition alone; if the release that serves was fitted on it, its first quarter."""
    first = on.case.rows(on.case.trained[:1])
    mutation = on.judged(
        "stale model", f"fitted on {on.case.trained[0].partition} alone", on.scored(on.fitted(first)), is_soft=True
    )
    if mutation.fate != "no change":
        return mutation
    time = on.product.features.time
    ordered = first.sort(time, maintain_order=True) if time else first
    early = ordered.head(first.height // 4)
    about = f"fitted on the first quarter of {on.case.trained[0].partition}: the release that serves is fitted on all of it"
    return on.judged("stale model", about, on.scored(on.fitted(early)), is_soft=True)


def lost_feature(on: MutationSubject) -> Mutation:
    """The champion's own model, so that nothing but the loss tells the two apart."""
    lost, scores = _spoilt(on, [f["name"] for f in on.champion.features], lambda frame, some: m.emptied(frame, columns=some))
    about = f"the release that serves, with nothing in {', '.join(lost)}: {on.harm(scores):.3f} {on.metric} worse"
    return on.judged("lost strong feature", about, scores, is_soft=True)


def scaled_feature(on: MutationSubject) -> Mutation:
    """Numbers only: a category has no unit."""
    names = [feature["name"] for feature in on.champion.features if feature["kind"] == "number"]
    if not names:
        return Mutation(mutant="scaled feature", about="", fate="not tried", message="no feature is a number")
    scaled, scores = _spoilt(on, names, lambda frame, some: m.scaled(frame, columns=some, by=SCALE))
    about = f"the release that serves, given {', '.join(scaled)} times {SCALE:g}: {on.harm(scores):.3f} {on.metric} worse"
    return on.judged("scaled feature", about, scores, is_soft=True)


def _spoilt(
    on: MutationSubject, names: list[str], spoil: Callable[[pl.DataFrame, Sequence[str]], pl.DataFrame]
) -> tuple[list[str], Floats]:
    def score(some: Sequence[str]) -> Floats:
        return on.champion.score(spoil(on.case.frame, some))

    return m.until_it_hurts(m.costliest(names, score, harm=on.harm), score, harm=on.harm, clear=on.clear_harm)


def slow_model(on: MutationSubject) -> Mutation:
    """Slow answers have the right scores: the trial in staging measures them, and nothing that is stored can tell."""
    about = "the champion's scores, answered late"
    if (staging := on.product.staging) is None:
        message, advice = "no gate reads a clock, and staging measures nothing", f"declare `{STAGING_LINE}`"
        return Mutation(mutant="slow model", about=about, fate="let through", message=message, advice=advice)
    message = f"staging judges latency: {LATENCY_HOLDS} lets through at most {staging.p99_ratio:g} times the champion's p99"
    return Mutation(mutant="slow model", about=about, fate="not tried", message=message)


def dropped_slice(on: MutationSubject) -> Mutation:
    """The rarest of the levels that the window should hold: the one whose rows are missed the least."""
    product = on.product
    columns = product.gates.slices or product.evaluation.slices
    rarest = _rarest(on, columns)
    if rarest is None:
        return Mutation(
            mutant="dropped slice", about="", fate="not tried", message="no column to divide by has a level in enough units"
        )
    column, level = rarest
    kept = on.case.frame.select(pl.col(column).cast(pl.String) != level).to_series().to_numpy()
    frame = m.without_level(on.case.frame, column=column, level=level)
    scores = on.same(np.flatnonzero(kept))
    verdict = on.case.judge(scores, frame=frame)
    about = f"no row of {column}={level} in the window ({int((~kept).sum()):,} before)"
    advice = f"add `for_each: [{column}], veto: METRIC(candidate) - METRIC(champion) …`: it knows which levels should be there"
    return on.mutation("dropped slice", about, verdict, advice=advice)


def short_window(on: MutationSubject) -> Mutation:
    """Two units of rows, on which a lucky model looks good."""
    codes = on.case.panel({"candidate": on.serving_scores}).codes
    kept = codes <= np.unique(codes)[1]
    scores = on.same(np.flatnonzero(kept))
    verdict = on.case.judge(scores, frame=on.case.frame.filter(pl.Series(kept)))
    advice = "raise `minimum.units`"
    return on.mutation("short window", f"the first 2 {on.product.gates.unit}s alone", verdict, advice=advice)


def _rarest(on: MutationSubject, columns: tuple[str, ...]) -> tuple[str, str] | None:
    first = [claim for claim in on.product.gates.claims if claim.for_each]
    if columns == on.product.gates.slices:
        expected = on.case.expected
    else:  # no claim divides the rows: the report's columns, as a claim would see them
        claim = on.product.gates.claims[0].model_copy(update={"for_each": columns})
        gates = on.product.gates.model_copy(update={"claims": (claim, *first)})
        expected = levels_of(on.trained, product=on.product.model_copy(update={"gates": gates}))
    sizes = [
        (int((on.case.frame[column].cast(pl.String) == level).sum()), column, level)
        for column, levels in expected.items()
        for level in levels
    ]
    present = [size for size in sizes if size[0]]
    return min(present)[1:] if present else None


MUTANTS: dict[str, Callable[[MutationSubject], Mutation]] = {
    "shuffled labels": shuffled_labels,
    "constant scores": constant_scores,
    "inverted scores": inverted_scores,
    "misaligned scores": misaligned_scores,
    "NaN scores": nan_scores,
    "stale model": stale_model,
    "lost strong feature": lost_feature,
    "scaled feature": scaled_feature,
    "slow model": slow_model,
    "dropped slice": dropped_slice,
    "short window": short_window,
}
