"""Gather what a plan looks at, in few queries: what stands, what is declared, what is delivered, who answers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select

from ml_assets.core import stages
from ml_assets.core.digests import digest_json
from ml_assets.core.planning import (
    Asset,
    Cause,
    Definition,
    Item,
    Planner,
    Situation,
    Standing,
    answered,
    champions,
)
from ml_assets.product import Product
from resources import ledger_schema as schema
from resources.blobs import write_atomically
from resources.landing import NotDelivered, remembered_digest
from resources.workspace import Workspace


def make_plan(space: Workspace, product: Product) -> list[Item]:
    """Everything of the product that would run now, in path order, each with its root causes."""
    return Planner(product, situation(space, product)).plan()


def situation(space: Workspace, product: Product) -> Situation:
    """All that a plan of the product looks at."""
    from resources.recalls import recalled_partitions

    with space.ledger.engine.connect() as connection:
        standing = _standing(space, connection, product)
        accepted = _accepted(connection, standing)
        evaluation_of = _evaluation_of(connection, product)
    digests = FileDigests.read(space.settings.home / "cache" / f"landing-{product.name}.json")
    delivered = {
        key: {table: digests.of(path) for table, path in space.landing.partition_files(product, key).items()}
        for key in space.landing.delivered(product)
    }
    reference = _reference(space, product, digests)
    digests.write()
    moves = space.endpoints.moves(product.name, "production")
    recalled = space.endpoints.recalled(product.name)
    evaluations = {key: s.data_version for (stage, key), s in standing.items() if stage == "evaluation"}
    return Situation(
        standing=standing,
        definitions={name: _definition(product, stage) for name, stage in stages.STAGES.items()},
        delivered=delivered,
        reference=reference,
        champions=champions(moves, evaluations, evaluation_of, recalled),
        anchors=champions(moves, evaluations, evaluation_of, recalled, is_anchor=True),
        answered=answered(moves, sorted({key for stage, key in standing if stage == "raw"} | set(delivered))),
        accepted=accepted,
        recalled=recalled_partitions(space.ledger, product.name, delivered),
    )


def tell(space: Workspace, product: Product, cause: Cause) -> str:
    """A root cause in words, with what exactly changed where the manifests say it."""
    where = f"{cause.stage} {cause.partition}".strip()
    match cause.kind:
        case "delivered":
            return f"{where} redelivered with other content" if _stands(space, product, cause) else f"{where} newly delivered"
        case "missing":
            return f"{where} was never made"
        case "lost":
            return f"{where}: its snapshot is missing from the store"
        case "champion":
            return f"another release answers now than the one that {cause.partition} was compared with"
        case "input":
            return f"{where} has other content than what was read"
        case "recalled":
            return f"{where} was recalled"
    return _declared(space, product, cause)


def _stands(space: Workspace, product: Product, cause: Cause) -> bool:
    stage = "reference" if cause.stage in product.delivery.reference else "raw"
    return space.ledger.current(product.name, stage, cause.partition) is not None


def _declared(space: Workspace, product: Product, cause: Cause) -> str:
    """Compare what a standing manifest recorded of its declaration with what is declared now."""
    keys = space.ledger.partitions(product.name, cause.stage)
    then = space.ledger.current(product.name, cause.stage, keys[-1]) if keys else None
    if then is None:
        return f"{cause.kind} of {cause.stage} changed"
    stage = stages.STAGES[cause.stage]
    now = {
        "config": stages.stage_config(product, stage),
        "environment": stages.environment(stage),
        "code": stages.stage_code_parts(product, stage),
    }[cause.kind]
    changes = list(_differences(then.recipe.details.get(cause.kind, {}), now))
    names = {"config": "product.yaml", "environment": "library", "code": f"code of {cause.stage}"}
    if cause.kind == "code":
        return f"{names['code']} changed: {', '.join(path for path, _, _ in changes) or 'its files'}"
    told = "; ".join(f"{path} {_shown(old)} -> {_shown(new)}" for path, old, new in changes)
    return f"{names[cause.kind]}: {told or f'{cause.kind} of {cause.stage} changed'}"


def _differences(old: Any, new: Any, path: str = "") -> Any:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in sorted({*old, *new}):
            yield from _differences(old.get(name), new.get(name), f"{path}.{name}" if path else name)
    elif json.dumps(old, sort_keys=True, default=list) != json.dumps(new, sort_keys=True, default=list):
        yield path, old, new


def _shown(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value, default=list)


def _definition(product: Product, stage: stages.Stage) -> Definition:
    config = digest_json(stages.stage_config(product, stage))
    return Definition(stages.stage_code(product, stage), config, stages.environment_digest(stage))


def _standing(space: Workspace, connection: Connection, product: Product) -> dict[Asset, Standing]:
    """What stands, by asset: two queries and one listing of the store, however many partitions there are."""
    p, m, i = (t.c for t in (schema.publications, schema.manifests, schema.inputs))
    newest = select(func.max(p.seq)).where(p.product == product.name).group_by(p.stage, p.partition)
    current = select(p.manifest).where(p.seq.in_(newest))
    columns = (m.seq, m.id, m.stage, m.partition, m.code, m.config, m.environment, m.data_version, m.snapshot)
    rows = connection.execute(select(*columns).where(m.id.in_(current))).all()
    edges: dict[int, dict[Asset, str]] = {}
    prefix = f"{product.name}/"
    read = select(i.consumer, i.asset, i.partition, i.data_version).join(schema.manifests, m.seq == i.consumer)
    for row in connection.execute(read.where(m.id.in_(current))):
        edges.setdefault(row.consumer, {})[row.asset.removeprefix(prefix), row.partition] = row.data_version
    there = set(space.snapshots.blobs.digests())
    return {
        (row.stage, row.partition): Standing(
            id=row.id,
            definition=Definition(row.code, row.config, row.environment),
            data_version=row.data_version,
            inputs=edges.get(row.seq, {}),
            is_there=row.snapshot in there,
        )
        for row in rows
    }


def _accepted(connection: Connection, standing: Mapping[Asset, Standing]) -> frozenset[str]:
    """The partitions whose standing evaluation has newest evidence of an ACCEPT."""
    e = schema.evidence.c
    newest = select(func.max(e.seq)).where(e.claim == "gates_passed").group_by(e.subject)
    passed: set[str] = set(connection.scalars(select(e.subject).where(e.seq.in_(newest), e.passed == 1)))
    return frozenset(key for (stage, key), s in standing.items() if stage == "evaluation" and s.id in passed)


def _evaluation_of(connection: Connection, product: Product) -> dict[str, str]:
    """The data version of the evaluation that each release (by bundle) was made from."""
    m, i = schema.manifests.c, schema.inputs.c
    query = select(m.snapshot, i.data_version).join(schema.inputs, i.consumer == m.seq)
    where = (m.product == product.name, m.stage == "release", i.asset == f"{product.name}/evaluation")
    return {row.snapshot: row.data_version for row in connection.execute(query.where(*where))}


def _reference(space: Workspace, product: Product, digests: "FileDigests") -> dict[str, str]:
    try:
        files = space.landing.reference_files(product)
    except NotDelivered:
        return {}
    return {table: digests.of(path) for table, path in files.items()}


@dataclass
class FileDigests:
    """Digests of delivered files, kept with size, time of change and inode, so that an unchanged file is not read again."""

    path: Path
    known: dict[str, list[Any]]

    @classmethod
    def read(cls, path: Path) -> "FileDigests":
        return cls(path, json.loads(path.read_text()) if path.is_file() else {})

    def of(self, file: Path) -> str:
        return remembered_digest(file, self.known)

    def write(self) -> None:
        content = json.dumps(self.known).encode()
        if not self.path.is_file() or self.path.read_bytes() != content:
            write_atomically(self.path, content)
