"""The audit of a raw partition, which the checks of the contract and dataset need one after the other: made once in a process."""

from typing import TYPE_CHECKING

from ml_assets.core.digests import digest_json
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.lineage.stages import STAGES, stage_code, stage_config
from ml_assets.spec.product import Product
from resources.lineage import Lineage

if TYPE_CHECKING:
    from ml_assets.core.contract.engine import DeliveryAudit

_kept: "dict[str, DeliveryAudit]" = {}
"""The last audit that the contract's checks made, by the digest of all that decides it, until a dataset is made of it."""


def checked(lineage: Lineage, product: Product, raw: Manifest) -> "DeliveryAudit":
    """The audit for the checks. One without a breach is kept for dataset."""
    audit = _audited(lineage, product, raw)
    _kept.clear()
    if audit.ok:
        _kept[_key(product, raw)] = audit
    return audit


def taken(lineage: Lineage, product: Product, raw: Manifest) -> "DeliveryAudit":
    """The audit for dataset: the one that was kept of this raw under this code and configuration, or a new one."""
    return _kept.pop(_key(product, raw), None) or _audited(lineage, product, raw)


def _audited(lineage: Lineage, product: Product, raw: Manifest) -> "DeliveryAudit":
    from ml_assets.builders.dataset import audited

    return audited(lineage.handle(raw), product, raw.partition)


def _key(product: Product, raw: Manifest) -> str:
    dataset = STAGES["dataset"]
    return digest_json([raw.id, stage_code(product, dataset), stage_config(product, dataset)])
