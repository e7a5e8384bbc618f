"""The past under a `gates:` block: every stored evaluation judged again, in order, against the release that would have served."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec

from ml_assets.core.gates.history import MOST_WINDOWS, History, history
from ml_assets.core.gates.verdict import Verdict
from ml_assets.core.lineage.facts import EvaluationFacts
from ml_assets.core.lineage.verdict_facts import VerdictFacts
from ml_assets.services.gate_lab.stored_comparisons import Case

if TYPE_CHECKING:
    from ml_assets.core.gates.panel import Panel
    from ml_assets.core.metrics.arrays import Floats


@dataclass(frozen=True)
class WalkedPartition:
    """One partition. `champion` and `anchor` are the cases whose candidates would have had these roles; `serving_metric` is the
    product's first metric of the release that served when the partition came in; `past` what the verdict learned from
    those before it."""

    case: Case
    champion: Case | None
    anchor: Case | None
    panel: "Panel"
    verdict: Verdict
    serving_metric: float | None
    past: History

    @property
    def scores(self) -> "dict[str, Floats]":
        """The scores of each model, (n,) by role."""
        return dict(self.panel.scores)

    def judge(self, candidate: "Floats", against: "Mapping[str, Floats]", *, unit: str | None = None) -> Verdict:
        """The verdict on other scores in the candidate's place, and in those of `against`; by another unit, if one is given."""
        scores = {**self.scores, **against, "candidate": candidate}
        return by_unit(self.case, unit).judge(scores) if unit else self.case.judge(scores, past=self.past)

    def to_dict(self) -> dict[str, Any]:
        """Return the step as JSON values."""
        return {
            "partition": self.case.partition,
            "decision": self.verdict.decision,
            "reasons": list(self.verdict.reasons),
            "champion": self.champion.partition if self.champion else None,
            "anchor": self.anchor.partition if self.anchor else None,
            "answers": self.case.partition if self.verdict.is_accept else self.champion.partition if self.champion else None,
            "metric": self.serving_metric,
            "claims": [claim.to_dict() for claim in self.verdict.claims],
        }


def walk(cases: Sequence[Case]) -> Iterator[WalkedPartition]:
    """Judge each candidate against the champion and anchor that the verdicts before it made. Who is asked in doubt says no."""
    champion: Case | None = None
    anchor: Case | None = None
    before: deque[VerdictFacts] = deque(maxlen=MOST_WINDOWS)
    for case in cases:
        past = history(before, unit=case.product.gates.unit)
        scores = {"candidate": case.scores["candidate"], **case.simple}
        scores |= {
            role: scored_by(case, other) for role, other in (("champion", champion), ("anchor", anchor)) if other is not None
        }
        panel = case.panel(scores)
        verdict = case.judge(scores, past=past)
        metric = panel.metric(case.product.gates.metric, "champion").value if champion else None
        yield WalkedPartition(case, champion, anchor, panel, verdict, metric, past)
        before.append(msgspec.convert(verdict.to_dict(), VerdictFacts))
        if verdict.is_accept:
            champion, anchor = case, case if verdict.is_better or anchor is None else anchor


def scored_by(case: Case, other: Case) -> "Floats":
    """The scores that another partition's candidate gives to this window: the stored ones, if it was compared with."""
    for role in ("champion", "anchor"):
        release = next((m for m in case.inputs if m.recipe.stage == "release" and m.snapshot == _bundle(case, role)), None)
        if release and case.lineage.made_from(release)["model"].data_version == other.model.data_version:
            return case.scores[role]
    return case.loaded(other.model).score(case.frame)


def _bundle(case: Case, role: str) -> str | None:
    return EvaluationFacts.of(case.evaluation).compared.get(role)


def by_unit(case: Case, unit: str) -> Case:
    """The case, judged by another unit, whatever that unit would let through: it is shown for comparison."""
    exceptions = {**case.product.gates.exceptions, "unit": "judged for comparison"}
    gates = case.product.gates.model_copy(update={"unit": unit, "exceptions": exceptions})
    return replace(case, product=case.product.model_copy(update={"gates": gates}))
