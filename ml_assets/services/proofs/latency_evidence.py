"""The measured latency of a release, as the ledger holds it: what the check in staging and the promotion lock both believe."""

from ml_assets.core.lineage.manifests import Manifest
from ml_assets.services.claims import LATENCY_HOLDS
from ml_assets.spec.product import Product
from resources.ledger.ledger import Ledger


def latency_outdated(ledger: Ledger, product: Product, release: Manifest) -> list[str]:
    """The reason why a measurement that passed says nothing of the release now: it compares with another release than the one
    that serves, or allowed a higher ratio. Empty where none passed, or none is declared."""
    evidence = ledger.evidence(release.id).get(LATENCY_HOLDS) if product.staging else None
    if product.staging is None or evidence is None or not evidence.body.passed:
        return []
    measured = evidence.body.details.values
    entry = ledger.pointer(product.name, "production")
    serving = entry.body.bundle if entry else None
    if serving == release.snapshot:
        return []
    command = f"`ml-assets run {product.name} --partition {release.partition}`"
    if measured.get("champion") != serving:
        return [f"{LATENCY_HOLDS} compares with another release than the one that serves; {command}"]
    if serving is not None and not _number(measured.get("ratio")) <= product.staging.p99_ratio:
        return [
            f"{LATENCY_HOLDS} measured {measured.get('ratio')} times, at most {product.staging.p99_ratio:g} is allowed; {command}"
        ]
    return []


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else float("nan")
