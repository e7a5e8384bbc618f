"""The verdicts behind promotions, judged again from the scores that are stored next to them."""

from collections.abc import Iterable
from dataclasses import replace

from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.lineage.stages import STAGES, stage_code
from ml_assets.services.governed_gates import as_judged
from ml_assets.services.rederived_verdict import contradictions
from ml_assets.services.verify.discrepancies import Discrepancies, Progress
from ml_assets.services.verify.home import Verified
from ml_assets.spec.product import Product
from resources.lineage import Lineage


def with_verdicts(verified: Verified, lineage: Lineage, products: Iterable[Product], *, tell: Progress) -> Verified:
    """The same with what the promotions of these products say, of those that were verified. Only a home whose bytes are as they
    were written is asked."""
    discrepancies, count = Discrepancies(), 0
    for product in products:
        for release, evaluation in _promoted(lineage, product, after=verified.since).values():
            tell(f"verdicts: {product.name} {evaluation.partition}")
            count += _check(lineage, product, release, evaluation, discrepancies)
    return replace(
        verified, counts={**verified.counts, "verdicts": count}, discrepancies=(*verified.discrepancies, *discrepancies.collected)
    )


def _promoted(lineage: Lineage, product: Product, *, after: int) -> dict[str, tuple[Manifest, Manifest]]:
    """Releases that production was promoted to after an entry, each once, with their evaluations."""
    recorded_moves = lineage.ledger.moves(product.name, "production", after=after)
    moves = (move for move in recorded_moves if move.kind == "promotion")
    releases = {move.body.manifest: lineage.ledger.manifest(move.body.manifest) for move in moves}
    recorded = ((id, release, lineage.made_from(release)) for id, release in releases.items() if release is not None)
    return {id: (release, inputs["evaluation"]) for id, release, inputs in recorded if "evaluation" in inputs}


def _check(lineage: Lineage, product: Product, release: Manifest, evaluation: Manifest, discrepancies: Discrepancies) -> bool:
    """Whether the verdict was judged again: not one by other code or by gates that this code does not read."""
    where = f"verdict of {product.name} {evaluation.partition}"
    then = as_judged(product, evaluation)
    if then is None or evaluation.recipe.code != stage_code(product, STAGES["evaluation"]):
        discrepancies.note("changed", where, "was given by other code than this, and is not judged again")
        return False
    if reasons := contradictions(lineage, then, evaluation):
        message = f"let release {release.partition} into production, and {'; '.join(reasons)}"
        discrepancies.add("changed", where, message, f"`ml-assets recall {product.name} {release.partition}` takes it back")
    return True
