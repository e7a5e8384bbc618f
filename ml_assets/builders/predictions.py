"""predictions: a partition's requests, scored by the release that served when it came in, as its log would have them."""

from ml_assets.builders.monitoring import Served
from ml_assets.core.lineage.manifests import Output
from ml_assets.core.release.offline_bundle import own_scores
from ml_assets.serving.log.batch_predictions import batch_predictions
from ml_assets.spec.product import Product

MEMBER = "predictions.parquet"


def build(inputs: Served, product: Product, partition: str) -> Output:
    """One row for each request; nothing in it depends on the time of the run."""
    release, requests = inputs.release, inputs.features.frame("requests.parquet")
    about = release.json("bundle.json")
    content = batch_predictions(
        about,
        release.manifest.snapshot,
        fields=[field["name"] for field in release.json("request.json")],
        requests=requests,
        scores=own_scores(release, requests),
        source=inputs.features.manifest.data_version,
    )
    return Output({MEMBER: content}, {"scored_by": about["release"], "rows": requests.height})
