"""A release with all that it was made from, carried from one home to another: bytes, manifests, and what was shown of data and
model. No decision comes along: looks, verdicts, approvals and moves are those of the home that a release is to serve in.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from ml_assets.core.lineage.manifests import Manifest
from ml_assets.errors import MlAssetsError
from resources.ledger import recalls
from resources.lineage import Lineage
from resources.store.blobs import is_readable

Say = Callable[[str], None]


class NotTransferred(MlAssetsError):
    """A release cannot be carried to another home."""


@dataclass
class Transferred:
    """`recorded`: manifests that the other home did not have; `files` and `bytes` that it did not; `kept`: by asset and
    partition, what stays current there though something else arrived."""

    recorded: list[Manifest] = field(default_factory=list)
    files: int = 0
    bytes: int = 0
    kept: dict[str, Manifest] = field(default_factory=dict)


def transfer(release: Manifest, source: Lineage, target: Lineage, *, say: Say = lambda _: None) -> Transferred:
    """Carry it over, inputs first and files before what names them, so that what was interrupted can be done again. What arrives
    becomes current where the other home has nothing. Raises NotTransferred for what was recalled, BlobDamaged."""
    wanted = made_from(source, release)
    bad = recalls.derived(source.ledger, release.recipe.product)
    if recalled := next((manifest for manifest in wanted if manifest.id in bad), None):
        raise NotTransferred(f"{_named(release)} comes from {_named(recalled)}, which was recalled; `ml-assets impact` says why")
    result = Transferred()
    for manifest in wanted:
        if _carried(manifest, source, target, result):
            say(_named(manifest))
    return result


def made_from(lineage: Lineage, manifest: Manifest) -> list[Manifest]:
    """The manifest with everything that it was made from, each once, inputs before what was made of them."""
    manifests: dict[str, Manifest] = {}
    waiting = [(manifest, False)]
    while waiting:
        following, is_next = waiting.pop()
        if is_next:
            manifests[following.id] = following
        elif following.id not in manifests:
            waiting.append((following, True))
            waiting += [(one, False) for one in reversed(lineage.inputs(following)) if one.id not in manifests]
    return [*manifests.values()]


def _carried(manifest: Manifest, source: Lineage, target: Lineage, result: Transferred) -> bool:
    """Whether anything of it was new there."""
    digest = manifest.snapshot
    if not is_readable(target.snapshots.blobs, digest) or not target.snapshots.is_intact(digest):
        for member in (*source.snapshots.open(digest).members.values(), digest):
            if not is_readable(target.snapshots.blobs, member):
                content = source.snapshots.blobs.path(member).read_bytes()
                target.snapshots.blobs.put(content)
                result.files += 1
                result.bytes += len(content)
    if target.ledger.manifest(manifest.id) is not None:
        return False
    current = target.ledger.current(manifest.recipe.product, manifest.recipe.stage, manifest.partition)
    target.take_over(manifest, source.ledger, is_current=False)
    result.recorded.append(manifest)
    if current is not None:
        result.kept[_named(manifest)] = current
    return True


def _named(manifest: Manifest) -> str:
    return f"{manifest.asset} {manifest.partition}".rstrip()
