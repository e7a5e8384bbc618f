"""The `gates:` section of product.yaml: what a candidate must prove before it may serve (docs/gates.md)."""

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from ml_assets.spec.base_section import Column, Name, Section
from ml_assets.spec.baselines import BaselineSpec
from ml_assets.spec.claim_grammar import ClaimForm, ClaimTextError, Model, parse
from ml_assets.spec.claim_limits import never_fails
from ml_assets.spec.model.parameters import written_task
from ml_assets.spec.sections import STAGING_LINE
from ml_assets.spec.tasks import METRICS
from ml_assets.spec.yaml_file import unknown_name

ClaimKind = Literal["prove", "veto"]
KINDS: tuple[ClaimKind, ...] = ("prove", "veto")
RATIOS = (
    "selection_rate", "tpr", "fpr", "accuracy", "roc_auc", "log_loss", "brier", "macro_f1", "macro_auc", "mae", "rmse", "mape",
)  # fmt: skip
"""Metrics that a ratio between groups says something of: positive, with an influence function."""
INCOMPARABLE = "calibration_error"
"""A mean of absolute gaps: a difference of two is let through at 4 to 37 % where 1 % is declared, whatever the bound."""
WITHOUT_RELEASE: frozenset[Model] = frozenset({"candidate", "baseline"})
"""The models that are there before anything was released."""
OTHER_NAMES: Mapping[str, str] = {
    **dict.fromkeys(("true_positive_rate", "recall", "sensitivity"), "tpr"),
    **dict.fromkeys(("false_positive_rate", "fall_out"), "fpr"),
    **dict.fromkeys(("auc", "auroc", "roc_auc_score"), "roc_auc"),
    **dict.fromkeys(("average_precision", "auprc"), "pr_auc"),
}
"""Metrics that people know by other names."""
MOST_ALPHA = 0.2
MOST_POOLED = 3
RESERVED = frozenset({"gates_passed", "window_open"})
LATENCY_MOVED = f"gates read no clock; remove this and declare latency at the top level: `{STAGING_LINE}`"
"""The answer to a claim about `p99_ms`, which a verdict could once hold."""
_TEXT = Field(default=None, examples=["roc_auc(candidate) - roc_auc(champion) > -0.005"])


class MinimumSpec(Section):
    """With fewer than these in the test window nothing is decided. `positives` and `negatives` are rows of a binary label,
    `per_class` those of each class of a label of several."""

    later: ClassVar[frozenset[str]] = frozenset({"per_class"})
    units: int = Field(default=20, ge=2)
    positives: int = Field(default=50, ge=1)
    negatives: int = Field(default=50, ge=1)
    per_class: int = Field(default=50, ge=1)

    @model_validator(mode="after")
    def _counts_what_the_task_has(self, info: ValidationInfo) -> Self:
        other = {"multiclass": {"positives", "negatives"}, "binary": {"per_class"}}.get(task := str(written_task(info)), set())
        fields = type(self).model_fields  # what a verdict was judged by is read again with its defaults written out
        if wrong := sorted(name for name in other if getattr(self, name) != fields[name].default):
            allowed = "units, per_class" if task == "multiclass" else "units, positives, negatives"
            raise ValueError(f"{wrong[0]}: a {task} task has none; allowed: {allowed}")
        return self


class BudgetSpec(Section):
    """The number of looks at one test window, and the probability of a wrong promotion over all of them.

    `looks`: different comparisons per window; `ships`: promotions per window; `feedback`: what is learned from a look;
    `exception`: why a greater alpha than 0.2 is wanted.
    """

    later: ClassVar[frozenset[str]] = frozenset({"exception"})
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    looks: int = Field(default=2, ge=1, le=1000)
    ships: int = Field(default=1, ge=1, le=1000)
    feedback: Literal["verdict"] = "verdict"
    exception: str | None = Field(default=None, min_length=10)

    @model_validator(mode="after")
    def _promises_something(self) -> Self:
        if self.alpha > MOST_ALPHA and self.exception is None:
            wrong = f"alpha {self.alpha:g} lets through one wrong candidate in {1 / self.alpha:.2g}"
            raise ValueError(f"{wrong}; at most {MOST_ALPHA:g}, or say why: `exception: …`")
        return self

    @model_validator(mode="after")
    def _ships_fit(self) -> Self:
        if self.ships > self.looks:
            raise ValueError(f"ships {self.ships} is more than looks {self.looks}; allowed: 1 to {self.looks}")
        return self


class ClaimSpec(Section):
    """One claim. `prove` must be shown, `veto` must not be disproven."""

    moved: ClassVar[Mapping[str, str]] = {"require": LATENCY_MOVED}
    name: Name
    prove: str | None = _TEXT
    veto: str | None = _TEXT
    for_each: tuple[Column, ...] = ()
    family: Literal["holm"] = "holm"

    @field_validator("name")
    @classmethod
    def _is_free(cls, name: str) -> str:
        if name in RESERVED:
            raise ValueError(f"'{name}' is the name of a check that is always there; choose another")
        return name

    @model_validator(mode="after")
    def _can_be_judged(self, info: ValidationInfo) -> Self:
        kinds = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(kinds) != 1:
            raise ValueError(f"claim '{self.name}' needs exactly one of {', '.join(KINDS)}; found {', '.join(kinds) or 'none'}")
        try:
            form = parse(getattr(self, kinds[0]))
        except ClaimTextError as error:
            raise ValueError(f"{kinds[0]}: {error}") from None
        task = written_task(info)
        if problem := _problem(form, for_each=self.for_each, task=task):
            raise ValueError(f"{kinds[0]}: {problem}")
        return self

    @property
    def kind(self) -> ClaimKind:
        """`prove` or `veto`: the one that is declared."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @cached_property
    def form(self) -> ClaimForm:
        """The parsed text."""
        return parse(getattr(self, self.kind))

    @property
    def text(self) -> str:
        """The comparison, in the canonical spelling."""
        return self.form.text

    @property
    def is_absolute(self) -> bool:
        """Whether it compares with no release, so that a first one can keep it."""
        return self.form.models <= WITHOUT_RELEASE


class FirstReleaseSpec(Section):
    """The requirements on a release while there is no champion: the names of claims that compare with no release."""

    require: tuple[Name, ...] = Field(min_length=1)
    approve: Literal["automatic", "person"] = "automatic"


class PooledSpec(Section):
    """How long an undecided candidate is kept, and asked again on the next windows pooled with those before: over `windows` in
    all. `promise`: whether the level is that of each of these verdicts, or of all of them together."""

    windows: int = Field(ge=2, le=MOST_POOLED)
    promise: Literal["window", "pair"] = "window"


class GateSpec(Section):
    """The conditions under which a candidate may serve. Their digest is part of every verdict. `exceptions`: why a minimal
    standard is not kept, of the `unit` or by the name of a claim."""

    later: ClassVar[frozenset[str]] = frozenset({"pooled", "exceptions"})
    unit: Column
    minimum: MinimumSpec = MinimumSpec()
    budget: BudgetSpec = BudgetSpec()
    baselines: BaselineSpec = BaselineSpec()
    claims: tuple[ClaimSpec, ...] = Field(min_length=1)
    pooled: PooledSpec | None = None
    first_release: FirstReleaseSpec | None = None
    on_inconclusive: Literal["keep", "ask"] = "keep"
    approve: Literal["automatic", "person"] = "automatic"
    four_eyes: bool = False
    exceptions: dict[Name, Annotated[str, Field(min_length=10)]] = Field(default={})

    @field_validator("claims")
    @classmethod
    def _names_differ(cls, claims: tuple[ClaimSpec, ...]) -> tuple[ClaimSpec, ...]:
        names = [claim.name for claim in claims]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"claim names must differ; found twice: {', '.join(twice)}")
        return claims

    @field_validator("first_release")
    @classmethod
    def _asks_for_claims_there_are(cls, first: FirstReleaseSpec | None, info: ValidationInfo) -> FirstReleaseSpec | None:
        named = {claim.name: claim for claim in info.data.get("claims", ())}
        retired = _latency_claims(info)
        for name in first.require if first else ():
            if name in retired or (named and name == "fast" and name not in named):
                raise ValueError(f"require: '{name}' is not a claim: {LATENCY_MOVED}")
            if named and name not in named:
                raise ValueError(f"require: '{name}' is not a claim; {unknown_name(name, allowed=named)}")
            if named and not named[name].is_absolute:
                models = ", ".join(sorted(named[name].form.models - WITHOUT_RELEASE))
                raise ValueError(f"require: '{name}' compares with the {models}, and a first release has none")
        return first

    @field_validator("exceptions")
    @classmethod
    def _excuses_what_there_is(cls, exceptions: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        named = ["unit", *(claim.name for claim in info.data.get("claims", ()))]
        if info.data.get("claims") and (unknown := next((name for name in exceptions if name not in named), None)):
            raise ValueError(f"'{unknown}' is neither `unit` nor a claim; {unknown_name(unknown, allowed=named)}")
        return exceptions

    @model_validator(mode="after")
    def _something_is_proven(self) -> Self:
        if not any(claim.kind == "prove" for claim in self.claims):
            raise ValueError("no claim says prove, so a candidate could be let through that has proven nothing; add one")
        named = {claim.name: claim for claim in self.claims}
        if self.baselines.baseline is None and (unmade := [c.name for c in self.claims if "baseline" in c.form.models]):
            raise ValueError(f"claim '{unmade[0]}' needs a simple model: declare `baselines: {{baseline: {{prior: true}}}}`")
        if not any(named[name].kind == "prove" for name in self.first_claims):
            raise ValueError("a first release would prove nothing: add a claim like `prove: roc_auc(candidate) > 0.6`")
        if self.four_eyes and not self.is_ever_approved:
            raise ValueError(
                "four_eyes: no approval is required; it goes with approve: person, first_release.approve or on_inconclusive"
            )
        return self

    @property
    def is_ever_approved(self) -> bool:
        """Whether a person may be asked at all."""
        first = self.first_release is not None and self.first_release.approve == "person"
        return self.approve == "person" or self.on_inconclusive == "ask" or first

    @property
    def first_claims(self) -> tuple[str, ...]:
        """The claims that a release must keep while there is no champion: the declared ones, or all that compare with no
        release."""
        if self.first_release is not None:
            return self.first_release.require
        return tuple(claim.name for claim in self.claims if claim.is_absolute)

    def claims_that_apply(self, *, has_champion: bool) -> tuple[ClaimSpec, ...]:
        """The claims that apply to a candidate: all, or those of a first release."""
        return self.claims if has_champion else tuple(c for c in self.claims if c.name in self.first_claims)

    @property
    def metric(self) -> str:
        """The metric that matters first: that of the first claim about one."""
        return next(m.metric for claim in self.claims for m in claim.form.measures if m.metric)

    @property
    def slices(self) -> tuple[str, ...]:
        """Every column that a claim divides the rows by."""
        columns = [column for claim in self.claims for column in claim.for_each]
        columns += [column for claim in self.claims for measure in claim.form.measures for column in measure.columns]
        return tuple(dict.fromkeys(columns))

    @property
    def crossed(self) -> tuple[tuple[str, ...], ...]:
        """Columns that a claim takes together: a group has one level of each."""
        measures = (measure for claim in self.claims for measure in claim.form.measures)
        return tuple(dict.fromkeys(measure.columns for measure in measures if len(measure.columns) > 1))


def _latency_claims(info: ValidationInfo) -> set[str]:
    """The names of the written claims about latency. They were refused, so they are not among those that were read."""
    content = (info.context or {}).get("content")
    gates = content.get("gates") if isinstance(content, dict) else None
    claims = gates.get("claims") if isinstance(gates, dict) else None
    written = [claim for claim in claims if isinstance(claim, dict)] if isinstance(claims, list) else []
    return {str(claim.get("name")) for claim in written if "require" in claim}


def _problem(form: ClaimForm, *, for_each: tuple[str, ...], task: str | None) -> str:
    """The reason why the form cannot be judged; empty if it can."""
    kinds = {measure.kind for measure in form.measures}
    if any(measure.metric == "p99_ms" for measure in form.measures):
        return LATENCY_MOVED
    if "ratio" in kinds and (len(form.terms) > 1 or form.terms[0][0] != 1 or for_each):
        return "a ratio cannot be combined with other measures: ratio(metric, by: column) > 0.8"
    if "ratio" in kinds and form.sign == "<":
        return "a ratio is the smallest between two groups: only > says something"
    if "ratio" in kinds and form.measures[0].metric not in RATIOS:
        return f"no ratio of '{form.measures[0].metric}'; {unknown_name(form.measures[0].metric, allowed=RATIOS)}"
    if len(form.terms) > 1 and any(measure.metric == INCOMPARABLE for measure in form.measures):
        compare = "calibration_loss(candidate) - calibration_loss(champion) < 0.002"
        alone = f"{INCOMPARABLE}(candidate) < 0.05"
        return f"a difference of {INCOMPARABLE} keeps no level; compare by `{compare}`, or hold the candidate alone to `{alone}`"
    if for_each and any(measure.column for measure in form.measures):
        return "for_each divides the rows already; a metric in it names no slice"
    if "disagreement" in kinds and task == "regression":
        return "disagreement is between decisions; a regression makes none"
    for measure in form.measures:
        if measure.kind in ("metric", "ratio") and (unknown := _unknown_metric(measure.metric, task)):
            return unknown
    return never_fails(form)


def _unknown_metric(metric: str, task: str | None) -> str:
    if metric in OTHER_NAMES:
        return f"'{metric}' is called `{OTHER_NAMES[metric]}` here"
    for name, metrics in METRICS.items():
        if name == task and metric not in metrics:
            return f"'{metric}' is not a metric of a {task} task; {unknown_name(metric, allowed=metrics)}"
    metric_names = {other for metrics in METRICS.values() for other in metrics}
    return "" if metric in metric_names else f"'{metric}' is not a metric; {unknown_name(metric, allowed=metric_names)}"
