"""Asking a test window: a look is charged, then candidates are scored and judged, then the verdict is recorded; in this order."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from ml_assets.core.evaluation.coverage import OutcomesMissing
from ml_assets.core.lineage.facts import EvaluationFacts, ReleaseFacts
from ml_assets.core.lineage.manifests import Manifest, Output
from ml_assets.services.comparisons import Comparison, charge, was_charged
from ml_assets.services.judging.gate_standards import require_standards
from ml_assets.services.judging.kept_candidate import KeptCandidate, kept_candidate
from ml_assets.services.judging.kept_candidate_text import asked_again, not_asked
from ml_assets.spec.product import Product
from resources.ledger.budget import Budget, Look, WindowRetired
from resources.lineage import Build, Lineage


@dataclass(frozen=True)
class AskedAgain:
    """The outcome for the candidate that is kept: its evaluation on pooled windows, or why these windows could not be asked."""

    kept: KeptCandidate
    evaluation: Manifest | None
    refusal: str = ""

    @property
    def message(self) -> str:
        """One line: which candidate, on which windows, with which verdict."""
        if self.evaluation is None:
            return not_asked(self.kept.since, self.kept.comparison.keys, self.refusal)
        return asked_again(EvaluationFacts.of(self.evaluation))

    @property
    def is_let_through(self) -> bool:
        """Whether the candidate that is kept was let through."""
        return self.evaluation is not None and EvaluationFacts.of(self.evaluation).verdict.decision == "ACCEPT"


def ask(
    lineage: Lineage,
    product: Product,
    compared: Comparison,
    partition: str,
    *,
    run: str,
    paid_by: Sequence[str] = (),
) -> Build:
    """The evaluation of the comparison, with its look charged and its verdict recorded. That of a candidate that is kept stays
    next to the partition's own, which remains the current one. Raises WindowRetired and OutcomesMissing."""
    recipe = lineage.recipe(product, "evaluation", partition, compared.inputs)
    build = partial(_evaluated, lineage, product, compared, partition, run=run, paid_by=paid_by)
    charged = partial(was_charged, lineage, product)
    result = lineage.make(recipe, build, run=run, may_reuse=charged, is_current=not compared.kept_since)
    facts = EvaluationFacts.of(result.manifest)
    # only now: a verdict whose evaluation was never recorded uses up no promotion
    look = Look(facts.tested, facts.look.comparison, facts.look.number, facts.verdict.gate, "", run)
    Budget(lineage.ledger).settle(product, look, facts.verdict.decision)
    return result


def ask_again(lineage: Lineage, product: Product, partition: str, *, run: str) -> AskedAgain | None:
    """Ask about the candidate that is kept, after the partition's own one was not let through; None where none is kept."""
    if (kept := kept_candidate(lineage, product, partition)) is None:
        return None
    try:
        evaluation_result = ask(lineage, product, kept.comparison, partition, run=run, paid_by=kept.paid_by)
    except (WindowRetired, OutcomesMissing) as error:  # a state of the windows, as it is for a new candidate
        return AskedAgain(kept, None, str(error))
    return AskedAgain(kept, evaluation_result.manifest)


def _evaluated(
    lineage: Lineage, product: Product, compared: Comparison, partition: str, *, run: str, paid_by: Sequence[str]
) -> Output:
    """Charge the look, then score and judge: in this order, whatever happens in between. Gates that decide nothing cost none."""
    from ml_assets.builders.evaluation import build, tested_rows

    read = compared.read(lineage)
    if tested_rows(read.tested, read.before, product).is_empty():  # outcomes that are not known yet cost no look
        seen = "" if product.keys.across_partitions == "allow" else " and whose key was not trained on"
        lacks = f"has no row whose {product.features.label} is known{seen}"
        raise OutcomesMissing(
            f"{product.name}: the test window {', '.join(compared.keys)} {lacks}; "
            f"deliver the outcomes, then `ml-assets run {product.name} --partition {compared.keys[-1]}`"
        )
    require_standards(lineage.ledger, product)
    look = charge(lineage, product, compared, run=run, paid_by=paid_by)
    output = build(read, product, partition)
    facts = {
        "candidate": compared.model.data_version,
        "champion": None,
        "anchor": None,
        **{r: {"release": ReleaseFacts.of(m).release, "bundle": m.snapshot} for r, m in compared.baselines.by_role.items()},
        "tested": compared.keys,
        "question": compared.question,
        "past": [evaluation.id for evaluation in compared.past],
        "look": {"number": look.number, "comparison": look.comparison},
        **({"kept_since": compared.kept_since} if compared.kept_since else {}),
    }
    return replace(output, facts={**output.facts, **facts})
