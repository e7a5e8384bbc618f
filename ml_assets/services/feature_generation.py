"""Whether a release is of one generation: trained and tested on today's features, made by the definition that it ships."""

from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.lineage.reads import labelled_stage
from ml_assets.core.lineage.stages import STAGES, stage_code
from ml_assets.spec.product import Product
from resources.ledger.ledger import Ledger


def mixed_generations(
    ledger: Ledger, product: Product, *, model: Manifest, evaluation: Manifest, features: Manifest
) -> list[str]:
    """The reason why the model was not trained and tested on the features that are current and that `features`, whose SQL would
    be shipped, belong to: one sentence each, none when it was."""
    stage = labelled_stage(product)
    used = [source for m in (model, evaluation) for source in m.recipe.inputs if source.asset == f"{product.name}/{stage}"]
    command = f"`ml-assets run {product.name} --partition {model.partition}`"
    shipped = (features.recipe.code, features.recipe.config, features.recipe.environment)
    reasons = []
    if features.recipe.code != stage_code(product, STAGES["features"]):
        reasons.append(
            f"the features of {features.partition}, whose SQL it would ship, were made by other code than today's; {command}"
        )
    for key, version in sorted({(source.partition, source.data_version) for source in used}):
        current = ledger.current(product.name, stage, key)
        if current is None or current.data_version != version:
            reasons.append(f"it used {stage} of {key} that are not the current ones; {command}")
            continue
        newest = ledger.current(product.name, "features", key)
        if newest is None or (newest.recipe.code, newest.recipe.config, newest.recipe.environment) != shipped:
            reasons.append(f"the features of {key} were made by another definition than the one that it ships; {command}")
    return reasons
