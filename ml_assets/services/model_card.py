"""The values for the model card of a release, from ledger and store. core.release.card writes the text."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ml_assets.core.lineage.facts import EvaluationFacts, FeaturesFacts
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.release.approvals import Override
from resources.lineage import Lineage

if TYPE_CHECKING:
    from ml_assets.core.release.card import About, Used


def card_about(lineage: Lineage, name: str, *, model: Manifest, evaluation: Manifest, override: Override | None) -> "About":
    """The values for the card of the release that is made of these."""
    from ml_assets.core.release.card import About

    trained = lineage.inputs(model)
    tested = lineage.tested(evaluation)
    return About(
        release=name,
        manifests={"model": model, "evaluation": evaluation, "features": tested[-1]},
        champion=_champion(lineage, evaluation),
        used=[*_used(lineage, trained, "trained"), *_used(lineage, tested, "tested")],
        measured=lineage.snapshots.read(evaluation.snapshot, "summary.md").decode(),
        override=override,
    )


def _champion(lineage: Lineage, evaluation: Manifest) -> dict[str, Manifest] | None:
    """The manifests that the champion was made from, by stage."""
    bundle = EvaluationFacts.of(evaluation).compared.get("champion")
    release = next((m for m in lineage.inputs(evaluation) if m.snapshot == bundle), None)
    return lineage.made_from(release) if release else None


def _used(lineage: Lineage, features: Iterable[Manifest], use: str) -> Iterator["Used"]:
    from ml_assets.core.release.card import Used

    for manifest in features:
        facts = FeaturesFacts.of(manifest)
        yield Used(
            partition=manifest.partition,
            use=use,
            rows=facts.rows,
            labelled=facts.labelled,
            delivered=_delivered(lineage, manifest),
        )


def _delivered(lineage: Lineage, features: Manifest) -> dict[str, str]:
    """The digests of the delivered files of the partition itself, by table; not of the days that its features look back on."""
    for stage in ("dataset", "raw"):
        asset = f"{features.recipe.product}/{stage}"
        given = next((i for i in features.recipe.inputs if (i.asset, i.partition) == (asset, features.partition)), None)
        recorded = lineage.ledger.manifest(given.manifest) if given and given.manifest else None
        if recorded is None:
            return {}
        features = recorded
    return {given.asset.rpartition("/")[2]: given.data_version for given in features.recipe.inputs}
