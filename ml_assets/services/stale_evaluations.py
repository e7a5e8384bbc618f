"""Which evaluations were made by other code, configuration or libraries than would make them now, or were charged no look in this
home, in words.

A plan lists them too; here are the words that a reader of an evaluation sees first.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from ml_assets.core.lineage.facts import EvaluationFacts
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.markdown import text
from ml_assets.services.comparisons import was_charged
from ml_assets.services.planning.plan import declared_change, declared_otherwise, stale_before, tell
from ml_assets.spec.product import Product
from resources.ledger.budget import Budget
from resources.ledger.partition_reads import current_manifests
from resources.ledger.tables import window_key
from resources.lineage import Lineage

KINDS = {"code": "code", "config": "configuration", "environment": "libraries", "input": "inputs"}
"""The kinds of root causes after which an evaluation says nothing about the code as it is."""


@dataclass(frozen=True)
class Staleness:
    """The reason why an evaluation is not evidence for the code as it is: what made it (`kinds`), and the root causes in
    words."""

    product: str
    partition: str
    kinds: Collection[str]
    causes: Sequence[str]

    @property
    def made_by(self) -> str:
        """Whether it was other code, configuration, libraries or inputs."""
        *others, last = [name for kind, name in KINDS.items() if kind in self.kinds]
        return f"made by other {', '.join(others)} and {last}" if others else f"made by other {last}"

    @property
    def consequence(self) -> str:
        """The consequence, and the next command."""
        command = f"`ml-assets run {self.product} --partition {self.partition}`"
        return f"it is not evidence for the current code; {command} rebuilds it"

    @property
    def message(self) -> str:
        """All of it in one line."""
        return f"{self.made_by}: {'; '.join(self.causes)}; {self.consequence}"

    @property
    def markdown(self) -> str:
        """A block of text above an evaluation."""
        causes = "".join(f"> - {text(cause)}\n" for cause in self.causes)
        return f"> **The evaluation of {text(self.partition)} was {self.made_by}**; {self.consequence}.\n>\n{causes}\n"


def stale_evaluations(lineage: Lineage, product: Product) -> dict[str, Staleness]:
    """The current evaluations that would not be made like this now, by partition. Which release serves is left aside."""
    stale = [item for item in stale_before(lineage, product, "evaluation") if item.stage == "evaluation"]
    causes = dict.fromkeys(cause for item in stale for cause in item.causes if cause.kind in KINDS)
    words = {cause: tell(lineage.ledger, product, cause) for cause in causes}
    causes_by_partition = {item.partition: [cause for cause in item.causes if cause in words] for item in stale}
    return {
        partition: Staleness(product.name, partition, {c.kind for c in those}, list(dict.fromkeys(words[c] for c in those)))
        for partition, those in causes_by_partition.items()
        if those
    }


def made_by_other_code(lineage: Lineage, product: Product, manifest: Manifest) -> Staleness | None:
    """The same of any evaluation or release, also one that was replaced: what it and all that it was made from record, against
    what is declared now; None if nothing differs."""
    otherwise = [(source, kind) for source in _upstream(lineage, manifest) for kind in declared_otherwise(product, source)]
    words = dict.fromkeys(declared_change(product, source, kind) for source, kind in otherwise)
    kinds = {kind for _, kind in otherwise}
    return Staleness(product.name, manifest.partition, kinds, list(words)) if words else None


def not_charged(lineage: Lineage, product: Product, evaluation: Manifest) -> str:
    """That a verdict lets nothing through here, and the next command; empty where a look was charged for it. One that came from
    another home has none."""
    return "" if was_charged(lineage, product, evaluation) else _not_charged(product, evaluation.partition)


def uncharged_evaluations(lineage: Lineage, product: Product) -> dict[str, str]:
    """The same of every current evaluation that no look was charged for here, by partition, in order."""
    charged = Budget(lineage.ledger).charged(product.name)
    evaluations = current_manifests(lineage.ledger, product.name, "evaluation")
    compared = ((evaluation.partition, EvaluationFacts.of(evaluation)) for evaluation in evaluations)
    keys = sorted(key for key, facts in compared if (window_key(facts.tested), facts.look.comparison) not in charged)
    return {key: _not_charged(product, key) for key in keys}


def _not_charged(product: Product, partition: str) -> str:
    command = f"`ml-assets run {product.name} --partition {partition}`"
    return f"no look was charged here for this evaluation, so it lets nothing through; {command} judges it again"


def _upstream(lineage: Lineage, manifest: Manifest) -> Iterator[Manifest]:
    """The manifest and all that its model and its rows were made from, each once; not the releases that it was compared with."""
    waiting, known = [manifest], {manifest.id}
    while waiting:
        yield (nearest := waiting.pop(0))
        sources = [m for m in lineage.inputs(nearest) if m.recipe.stage != "release" and m.id not in known]
        known |= {source.id for source in sources}
        waiting += sources
