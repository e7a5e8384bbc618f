"""Releases are what their manifests say: every byte there, and no training row among the rows that judged them."""

from ml_assets.core.lineage.facts import EvaluationFacts, ReleaseFacts
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.services.claims import BUNDLE_INTACT, TESTED_ON_UNSEEN
from ml_assets.services.evidence import Finding, Proof
from ml_assets.spec.product import Product
from resources.lineage import Lineage
from resources.store.snapshots import Snapshots

CLAIMS = {
    BUNDLE_INTACT: "Every byte of the bundle is there and unchanged.",
    TESTED_ON_UNSEEN: "No partition is both in the training window and in the test window.",
}

PROOF = Proof("release", tuple(CLAIMS), (f"{__name__}:intact", f"{__name__}:unseen"))


def intact(snapshots: Snapshots, release: Manifest) -> Finding:
    """Read every byte of the bundle again."""
    is_intact = snapshots.is_intact(release.snapshot)
    return Finding(BUNDLE_INTACT, is_intact, CLAIMS[BUNDLE_INTACT] if is_intact else "bytes are missing or changed")


def unseen(lineage: Lineage, product: Product, release: Manifest) -> Finding:
    """Compare the release's training window with what it was judged on."""
    from ml_assets.core.evaluation.seen_data import OtherSplit, tested_names, trained_names

    evaluation = lineage.made_from(release)["evaluation"]
    tested = set(tested_names(product, EvaluationFacts.of(evaluation).tested))
    try:
        trained = set(trained_names(product, ReleaseFacts.of(release), role="release"))
    except OtherSplit as error:
        return Finding(TESTED_ON_UNSEEN, False, str(error))
    seen = sorted(trained & tested)
    message = f"trained on {', '.join(seen)}, and tested on them" if seen else f"tested on {', '.join(sorted(tested))}"
    return Finding(TESTED_ON_UNSEEN, bool(trained and tested) and not seen, message)
