"""The context of a verdict: every earlier look at its rows, and every change since the champion, in full. The same
lines for Dagster and `report`; the changes are in the card too.
"""

from collections.abc import Iterator

from ml_assets.core.lineage.facts import EvaluationFacts
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.services.governed_gates import weakened_after_a_look
from ml_assets.spec.product import Product
from resources.ledger.budget import Budget, Look
from resources.lineage import Lineage


def earlier_looks(lineage: Lineage, product: Product, evaluation: Manifest) -> list[str]:
    """The looks that came before an evaluation's own, at its window and at others that hold its rows: one line each, oldest
    first, with verdict and reasons."""
    facts = EvaluationFacts.of(evaluation)
    windows = [w for w in Budget(lineage.ledger).windows(product) if set(w.partitions) & set(facts.tested)]
    looks = sorted((look for window in windows for look in window.looks), key=lambda look: look.entry)
    own = next((look.entry for look in looks if look.comparison == facts.look.comparison), None)
    before = [look for look in looks if own is None or look.entry < own]
    evaluations = _evaluations(lineage, product, before)
    lines = [_line(look, evaluations.get(look.comparison), facts) for look in before]
    weakened = weakened_after_a_look(lineage, product, evaluation)
    return [*lines, *([weakened] if weakened else [])]


def changes_since_champion(lineage: Lineage, evaluation: Manifest) -> list[str]:
    """The changes in the candidate of an evaluation since the champion that it was compared with; nothing where what it was made
    from is not recorded here."""
    from ml_assets.core.release.card_changes import changes

    model = lineage.made_from(evaluation).get("model")
    if model is None:
        return []
    inputs = {"model": model, "evaluation": evaluation, "features": lineage.tested(evaluation)[-1]}
    bundle = EvaluationFacts.of(evaluation).compared.get("champion")
    release = next((m for m in lineage.inputs(evaluation) if m.snapshot == bundle), None)
    return list(changes(inputs, lineage.made_from(release) if release else None))


def _evaluations(lineage: Lineage, product: Product, looks: list[Look]) -> dict[str, Manifest]:
    """The recorded evaluations of these looks, by comparison; a look whose verdict was never recorded has none."""
    keys = dict.fromkeys(look.window[-1] for look in looks)
    recorded = (manifest for key in keys for manifest in lineage.ledger.recorded(product.name, "evaluation", key))
    return {EvaluationFacts.of(manifest).look.comparison: manifest for manifest in recorded}


def _line(look: Look, evaluation: Manifest | None, now: EvaluationFacts) -> str:
    return "; ".join(_parts(look, evaluation, now))


def _parts(look: Look, evaluation: Manifest | None, now: EvaluationFacts) -> Iterator[str]:
    window = " to ".join(dict.fromkeys((look.window[0], look.window[-1])))
    run = f", run {look.run[:8]}" if look.run else ""
    yield f"{look.at[:16].replace('T', ' ')} UTC, look {look.number} at {window}{run}: {look.decision or 'no verdict yet'}"
    if evaluation is None:
        return
    facts = EvaluationFacts.of(evaluation)
    release = facts.champion.release if facts.champion else "no champion"
    same = "this pair" if facts.candidate == now.candidate and facts.compared == now.compared else "another pair"
    yield f"{same}: candidate {facts.candidate[:12]} against {release}"
    if facts.verdict.gate != now.verdict.gate:
        yield "by other gates than this one"
    yield from facts.verdict.reasons
