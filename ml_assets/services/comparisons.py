"""The comparison of a candidate, gathered from the ledger: with what, on which rows; and the look that it is charged."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ml_assets.core.lineage.facts import EvaluationFacts, ModelFacts, ReleaseFacts
from ml_assets.core.lineage.manifests import Input, Manifest
from ml_assets.core.lineage.reads import labelled_stage, partitions_before
from ml_assets.core.lineage.stages import test_keys
from ml_assets.errors import MlAssetsError
from ml_assets.services.claims import MAY_WARN, features_claims
from ml_assets.services.earlier_evaluations import earlier_evaluations
from ml_assets.spec.product import Product
from resources.ledger.budget import Budget, Look
from resources.lineage import Baselines, Lineage

if TYPE_CHECKING:
    from ml_assets.builders.evaluation import ComparisonInputs


class OtherFeatures(MlAssetsError):
    """Snapshots that belong together were made by different feature definitions."""


@dataclass(frozen=True)
class Comparison:
    """Manifests of the candidate, of the features of the test window and of the partitions before it (stages.partitions_before),
    and of the releases that it is compared with. `question` is the key of the same comparison without those, `comparison` its
    digest in the ledger; `past` are evaluations on earlier windows, from which a verdict learns how much its estimates vary.
    `kept_since`: the partition as of which a candidate was made that was kept, and is asked again on the windows from then on."""

    model: Manifest
    tested: Sequence[Manifest]
    before: Sequence[Manifest]
    baselines: Baselines
    question: str
    comparison: str = ""
    past: Sequence[Manifest] = ()
    kept_since: str = ""

    @property
    def inputs(self) -> list[Input]:
        """All that the evaluation reads, each once. Earlier evaluations count by content alone: what is wrong with the data of
        one is not wrong with a verdict that learned from it how days hang together."""
        every = [self.model, *self.before, *self.tested, *self.baselines.by_role.values()]
        learned = [replace(evaluation.as_input(), manifest=None) for evaluation in self.past]
        return [*{manifest.id: manifest.as_input() for manifest in every}.values(), *learned]

    @property
    def keys(self) -> list[str]:
        """The partitions of the test window."""
        return [manifest.partition for manifest in self.tested]

    def read(self, lineage: Lineage) -> "ComparisonInputs":
        """Return the inputs of the builder."""
        from ml_assets.builders.evaluation import ComparisonInputs

        handle = lineage.handle
        releases = {role: handle(manifest) for role, manifest in self.baselines.by_role.items()}
        past = [EvaluationFacts.of(evaluation).verdict for evaluation in self.past]
        tested, before = [*map(handle, self.tested)], [*map(handle, self.before)]
        own = self.keys.index(self.kept_since) + 1 if self.kept_since else 1
        return ComparisonInputs(handle(self.model), tested, before, releases, past, is_pooled=bool(self.kept_since), own=own)


def compare(lineage: Lineage, product: Product, partition: str) -> Comparison:
    """The comparison for the candidate as of the partition. Raises EvaluationRefused for a test window that a model has seen,
    OtherFeatures where it was trained on features of another definition than it is tested on."""
    return compared_with(lineage, product, partition, lineage.current(product, "model", partition), test_keys(product, partition))


def compared_with(
    lineage: Lineage, product: Product, partition: str, model: Manifest, keys: Sequence[str], *, kept_since: str = ""
) -> Comparison:
    """The comparison of a model on these partitions with what serves as of the last one; the rest is as `compare` says."""
    from ml_assets.core.evaluation.seen_data import tested_names, trained_names
    from ml_assets.core.evaluation.snapshot import refuse_seen_rows

    tested = [lineage.current(product, labelled_stage(product), key) for key in keys]
    trained = [_as_now(lineage, manifest) for manifest in lineage.inputs(model)]
    before = trained[-partitions_before(product) :]
    refuse_other_definitions(product, lineage.features_behind([*trained, *tested]))
    inputs = [manifest.as_input() for manifest in (model, *before, *tested)]
    question = lineage.recipe(product, "evaluation", partition, inputs).key
    baselines = lineage.baselines(product, partition, question=question)
    facts = {"candidate": ModelFacts.of(model)} | {r: ReleaseFacts.of(m) for r, m in baselines.by_role.items()}
    seen = {role: trained_names(product, trained, role=role) for role, trained in facts.items()}
    refuse_seen_rows(product, tested=tested_names(product, [manifest.partition for manifest in tested]), trained=seen)
    lineage.require_proven(lineage.features_behind(tested), features_claims(product), may_warn=MAY_WARN)
    comparison = _digest(lineage, product, model, tested, baselines)
    past = earlier_evaluations(lineage, product, [manifest.partition for manifest in tested], comparison=comparison)
    return Comparison(model, tested, before, baselines, question, comparison, past, kept_since)


def _digest(lineage: Lineage, product: Product, model: Manifest, tested: Sequence[Manifest], baselines: Baselines) -> str:
    """The digest by which the ledger knows the comparison."""
    from ml_assets.core.evaluation.snapshot import comparison_digest

    models = {role: lineage.made_from(m)["model"].data_version for role, m in baselines.by_role.items()}
    versions = {manifest.partition: manifest.data_version for manifest in tested}
    return comparison_digest(product, models={"candidate": model.data_version, **models}, tested=versions)


def _as_now(lineage: Lineage, features: Manifest) -> Manifest:
    """The current manifest of the same partition where it has the same content: rebuilt by another definition, it came out
    equal, and the model, which reads nothing but content, was reused."""
    current = lineage.ledger.current(features.recipe.product, features.recipe.stage, features.partition)
    return current if current is not None and current.data_version == features.data_version else features


def compared_before(lineage: Lineage, product: Product, evaluation: Manifest) -> Comparison:
    """The comparison of a recorded evaluation."""
    inputs = lineage.inputs(evaluation)
    facts = EvaluationFacts.of(evaluation)
    model = next(manifest for manifest in inputs if manifest.recipe.stage == "model")
    features = {manifest.partition: manifest for manifest in inputs if manifest.recipe.stage == labelled_stage(product)}
    tested = [features[key] for key in facts.tested]
    before = lineage.inputs(model)[-partitions_before(product) :]
    by_bundle = {manifest.snapshot: manifest for manifest in inputs if manifest.recipe.stage == "release"}
    champion, anchor = (by_bundle.get(facts.compared.get(role, "")) for role in ("champion", "anchor"))
    return Comparison(model, tested, before, Baselines(champion, anchor), facts.question, kept_since=facts.kept_since)


def refuse_other_definitions(product: Product, features: Sequence[Manifest]) -> None:
    """Raise OtherFeatures unless all of these features were made by one definition: code with SQL, configuration, libraries."""
    recipes = {
        manifest.partition: (manifest.recipe.code, manifest.recipe.config, manifest.recipe.environment) for manifest in features
    }
    first, *others = recipes
    if odd := [key for key in others if recipes[key] != recipes[first]]:
        raise OtherFeatures(
            f"{product.name}: the features of {', '.join(odd[:3])} were made by another definition than those of {first}; "
            f"`ml-assets run {product.name} --partition {features[-1].partition}` rebuilds what is stale"
        )


def was_charged(lineage: Lineage, product: Product, evaluation: Manifest) -> bool:
    """Whether a look was charged here for what the evaluation compared; not if it was made in another home."""
    facts = EvaluationFacts.of(evaluation)
    return Budget(lineage.ledger).was_charged(product.name, facts.tested, facts.look.comparison)


def charge(lineage: Lineage, product: Product, compared: Comparison, *, run: str, paid_by: Sequence[str] = ()) -> Look:
    """A look at the test window, before anything is scored on it. `paid_by`: of pooled windows, the partitions that pay."""
    from ml_assets.core.gates.verdict import gate_digest

    budget, gate = Budget(lineage.ledger), gate_digest(product)
    return budget.charge(product, tested=compared.keys, comparison=compared.comparison, gate=gate, run=run, paid_by=paid_by)
