"""Recalls: what was declared bad, and everything that was made from it. Every read and promotion checks here first."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, and_, not_, select

from ml_assets.core.lineage.facts import ReleaseFacts
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.release.identity import By, name_of, proof_of
from ml_assets.errors import MlAssetsError
from resources.ledger import tables as schema
from resources.ledger.ledger import Entry, Ledger, entries_where
from resources.ledger.records import read

NEVER = 2**31 - 1
"""The entry of a recall that is not recorded yet comes after all others: the largest number of PostgreSQL's INTEGER."""


class Recalled(MlAssetsError):
    """A manifest that was to be used is recalled, or was made from what is."""


class Recall(msgspec.Struct, frozen=True):
    """One recall: of a partition as it was delivered (digest of each landing file by asset), or of a release (bundle). `entry` is
    its number in the ledger, 0 while it is not recorded."""

    product: str
    what: Literal["partition", "release"]
    partition: str
    reason: str
    by: str
    delivered: Mapping[str, str] = {}
    release: str | None = None
    name: str | None = None
    at: str = ""
    entry: int = 0
    proof: str = ""

    @property
    def description(self) -> str:
        """A clause that says what was recalled, by whom, when and why."""
        named = f"release {self.name}" if self.what == "release" else f"raw {self.partition}"
        on = f" on {self.at[:10]}" if self.at else ""
        return f"{named}, which {self.by} recalled{on}: {self.reason!r}"

    def body(self) -> dict[str, Any]:
        """As the ledger keeps it."""
        left_out = {"at", "entry", *(() if self.proof else ("proof",))}
        return {name: value for name, value in msgspec.structs.asdict(self).items() if name not in left_out}

    def is_about(self, other: "Recall") -> bool:
        """Whether both declare the same thing bad, whoever did so and why."""
        same = (self.what, self.partition, self.release) == (other.what, other.partition, other.release)
        return same and dict(self.delivered) == dict(other.delivered)


def of_partition(raw: Manifest, *, reason: str, by: By) -> Recall:
    """The recall of a partition as it was delivered for this raw manifest."""
    product = raw.recipe.product
    delivered = _delivered(raw)
    return Recall(product, "partition", raw.partition, reason, name_of(by), delivered=delivered, proof=proof_of(by))


def of_release(release: Manifest, *, reason: str, by: By) -> Recall:
    """The recall of a release."""
    product, name = release.recipe.product, ReleaseFacts.of(release).release
    recall = Recall(product, "release", release.partition, reason, name_of(by), proof=proof_of(by))
    return msgspec.structs.replace(recall, release=release.snapshot, name=name)


def record(ledger: Ledger, recall: Recall) -> bool:
    """Write the recall into the ledger; False when the same is recalled already."""
    if _recorded(ledger, recall).entry:
        return False
    ledger.append("recall", recall.body())
    return True


def _recorded(ledger: Ledger, recall: Recall) -> Recall:
    """The recall of the same thing that is in the ledger, else this one."""
    return next((known for known in recalls(ledger, recall.product) if known.is_about(recall)), recall)


def recalls(ledger: Ledger, product: str) -> list[Recall]:
    """Every recall of the product, oldest first."""
    with ledger.engine.connect() as connection:
        return _recalls(connection, product)


def recalled_partitions(ledger: Ledger, product: str, delivered: Mapping[str, Mapping[str, str]] | None = None) -> dict[str, str]:
    """Partitions that were recalled as they are delivered now, with the reason.

    `delivered`: digests of the landing files by table, per partition; where it has none, what was read last counts.
    """
    reasons: dict[str, str] = {}
    for recall in recalls(ledger, product):
        files = (delivered or {}).get(recall.partition)
        raw = ledger.current(product, "raw", recall.partition)
        now = {f"landing/{product}/{table}": digest for table, digest in files.items()} if files else raw and _delivered(raw)
        if recall.what == "partition" and now == dict(recall.delivered):
            reasons[recall.partition] = recall.reason
    return reasons


def derived(ledger: Ledger, product: str) -> dict[str, Recall]:
    """Everything that was recalled or made from it: the id of each manifest, and the recall that it comes from."""
    with ledger.engine.connect() as connection:
        return _derived(connection, product)


def descendants(ledger: Ledger, recall: Recall) -> list[Manifest]:
    """The manifests that were recalled and all that were ever made from them, oldest first; also for a recall that is declared
    again, which spares what was made since the first."""
    recall = _recorded(ledger, recall)
    with ledger.engine.connect() as connection:
        ids = _descendants(connection, recall)
    return [manifest for id in ids if (manifest := ledger.manifest(id)) is not None]


def refuse(ledger: Ledger, manifests: Iterable[Manifest]) -> None:
    """Raise Recalled, with the way out of each, if one of the manifests is recalled or was made from what is."""
    with ledger.engine.connect() as connection:
        refuse_within(connection, manifests)


def refuse_within(connection: Connection, manifests: Iterable[Manifest]) -> None:
    """The same inside of a transaction: what is decided in it cannot be overtaken by a recall."""
    bad: dict[str, dict[str, Recall]] = {}
    reasons = []
    for manifest in manifests:
        product = manifest.recipe.product
        if product not in bad:
            bad[product] = _derived(connection, product)
        if manifest.id in bad[product]:
            reasons.append(_reason(manifest, bad[product][manifest.id]))
    if reasons:
        raise Recalled("; ".join(reasons))


def _reason(manifest: Manifest, recall: Recall) -> str:
    product, partition = manifest.recipe.product, manifest.partition
    outs = [f"build it again without that: `ml-assets run {product} --partition {partition}`"]
    if recall.what == "partition":
        again = f"deliver {recall.partition} again, with other content: `ml-assets deliver {product} TABLE FILE"
        outs = [f"{again} --partition {recall.partition}`", *(outs if partition != recall.partition else [])]
    if manifest.snapshot == recall.release:
        outs = ["only new data, code or configuration makes another release"]
    subject = f"{manifest.asset} {partition}".strip()
    return f"{subject} may not be used: it is or was made from {recall.description}; {', or '.join(outs)}"


def _delivered(raw: Manifest) -> dict[str, str]:
    return {given.asset: given.data_version for given in raw.recipe.inputs}


def _recalls(connection: Connection, product: str) -> list[Recall]:
    entries = entries_where(connection, schema.entries.c.kind == "recall")
    return [recall for entry in entries if (recall := _recall(entry)).product == product]


def _recall(entry: Entry) -> Recall:
    return msgspec.structs.replace(read(entry, Recall).body, at=entry.at, entry=entry.seq)


def _derived(connection: Connection, product: str) -> dict[str, Recall]:
    return {id: recall for recall in _recalls(connection, product) for id in _descendants(connection, recall)}


def _descendants(connection: Connection, recall: Recall) -> list[str]:
    """The manifests that were recalled and all that was made from them. A verdict that compared with a release after its recall,
    because that release still served, was not made from it: it knew."""
    manifests, inputs = schema.manifests.c, schema.inputs.c
    seeds = _releases(connection, recall) if recall.what == "release" else _raws(connection, recall)
    tree = select(manifests.seq, manifests.stage).where(manifests.seq.in_(seeds)).cte("derived", recursive=True)
    knew = and_(manifests.stage == "evaluation", tree.c.stage == "release", manifests.seq > (recall.entry or NEVER))
    consumers = select(manifests.seq, manifests.stage).join(schema.inputs, inputs.consumer == manifests.seq)
    tree = tree.union(consumers.join(tree, inputs.producer == tree.c.seq).where(not_(knew)))
    query = select(manifests.id).where(manifests.seq.in_(select(tree.c.seq))).order_by(manifests.seq)
    return list(connection.scalars(query))


def _releases(connection: Connection, recall: Recall) -> list[int]:
    columns = schema.manifests.c
    where = (columns.snapshot == recall.release, columns.stage == "release", columns.product == recall.product)
    return list(connection.scalars(select(columns.seq).where(*where)))


def _raws(connection: Connection, recall: Recall) -> list[int]:
    """The raw manifests, whatever code read them, of exactly these delivered bytes."""
    columns, inputs, published = schema.manifests.c, schema.inputs.c, schema.publications.c
    where = (published.product == recall.product, published.stage == "raw", published.partition == recall.partition)
    ids = select(published.manifest).where(*where)
    query = select(columns.seq, inputs.asset, inputs.data_version).join(schema.inputs, inputs.consumer == columns.seq)
    read: dict[int, dict[str, str]] = {}
    for row in connection.execute(query.where(columns.id.in_(ids))):
        read.setdefault(row.seq, {})[row.asset] = row.data_version
    return [seq for seq, delivered in read.items() if delivered == dict(recall.delivered)]
