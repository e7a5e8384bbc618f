"""monitoring: a partition against the release that served when it came in, on the features that this release computes."""

from dataclasses import dataclass

from ml_assets.core.lineage.handles import Handle
from ml_assets.core.lineage.manifests import Output
from ml_assets.core.model.scoring import load_model, score_frame
from ml_assets.core.model.split import rows_of, unseen_labels
from ml_assets.core.monitoring.snapshot import observe
from ml_assets.core.release.offline_bundle import own_features
from ml_assets.spec.product import Product


@dataclass(frozen=True)
class Served:
    """`features` of the partition, and the `release` that served."""

    features: Handle
    release: Handle


def build(inputs: Served, product: Product, partition: str) -> Output:
    """Drift, and realised metrics where outcomes are known."""
    release, all_rows = inputs.release, rows_of(inputs.features, product)
    rows = unseen_labels(all_rows, product, partition=partition, release=release.partition)
    about = release.json("bundle.json")
    own = own_features(release, inputs.features.frame("requests.parquet"), is_cast=False)
    scores = score_frame(load_model(release.members["model.cbm"], task=about["task"]), own, about["features"])
    promised = release.json("evidence.json")["metrics"].get(product.monitoring.metric)
    return observe(
        rows,
        own,
        scores,
        product=product,
        profile=release.json("profile.json"),
        promised=promised["candidate"]["value"] if promised else None,
        classes=about.get("classes", ()),
    )
