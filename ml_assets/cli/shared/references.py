"""Resolve what a person types: a release, a partition, a table, delivered bytes, a digest or a prediction; and
show the answer about it."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from sqlalchemy import select

from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.errors import MlAssetsError
from ml_assets.services.audit.questions import AuditSubject
from resources.ledger import tables as schema

SHORTEST = 6
DIGEST = re.compile(f"[0-9a-f]{{{SHORTEST},64}}")
FORMS = (
    f"a release's name, {SHORTEST} or more characters of a digest, PRODUCT/STAGE:PARTITION, "
    f"landing/PRODUCT/TABLE:PARTITION, or a prediction id"
)


class UnknownReference(MlAssetsError):
    """Nothing in the ledger has this name, or several things have."""


class NotARelease(MlAssetsError):
    """The reference names something else than a release."""


def resolve(space: Workspace, reference: str) -> AuditSubject:
    """The one thing that a reference names. Raises UnknownReference, which lists the things when there are several."""
    subject = _asset(space, reference) or _release(space, reference) or _prediction(space, reference)
    if subject is None and DIGEST.fullmatch(reference):
        subject = _digest(space, reference)
    if subject is None:
        raise UnknownReference(f"{reference!r} names nothing in the ledger; give {FORMS}")
    return subject


def release_named(space: Workspace, reference: str) -> Manifest:
    """The release that a reference names. Raises UnknownReference and NotARelease."""
    subject = resolve(space, reference)
    if subject.manifest is None or subject.manifest.recipe.stage != "release":
        raise NotARelease(
            f"{reference!r} is {subject.asset} {subject.partition}, not a release; `ml-assets status PRODUCT` lists them"
        )
    return subject.manifest


def _subject(space: Workspace, manifests: Sequence[Manifest], prediction: Mapping[str, Any] | None = None) -> AuditSubject:
    """Of several manifests with the same content, all; the newest speaks for them."""
    newest = manifests[-1]
    query = select(schema.manifests.c.seq).where(schema.manifests.c.id.in_([manifest.id for manifest in manifests]))
    with space.ledger.engine.connect() as connection:
        seqs: tuple[int, ...] = tuple(connection.scalars(query))
    return AuditSubject(newest.recipe.product, newest.asset, newest.partition, seqs, newest, prediction=prediction)


def _asset(space: Workspace, reference: str) -> AuditSubject | None:
    asset, _, partition = reference.partition(":")
    product, _, stage = asset.partition("/")
    if product == "landing":
        columns = schema.inputs.c
        return _delivered(space, columns.asset == asset, columns.partition == partition, is_newest=True)
    manifest = space.ledger.current(product, stage, partition) if stage else None
    return _subject(space, [manifest]) if manifest else None


def _release(space: Workspace, reference: str) -> AuditSubject | None:
    manifest = space.ledger.release_named(reference)
    return _subject(space, [manifest]) if manifest else None


def _prediction(space: Workspace, reference: str) -> AuditSubject | None:
    from ml_assets.services.replicas.shared_logs import find_prediction

    record = find_prediction(space.settings, space.lineage, reference)
    manifest = space.ledger.release_named(record["release"]) if record else None
    return _subject(space, [manifest], record) if manifest is not None else None


def _digest(space: Workspace, prefix: str) -> AuditSubject | None:
    """The subject that a digest, or its beginning, names: manifests (of the same content), or delivered bytes."""
    matches = space.ledger.by_prefix(prefix)
    if len({m.data_version for m in matches}) > 1:
        listed = "; ".join(f"{m.asset} {m.partition} {m.id[:12]}" for m in matches[:8])
        raise UnknownReference(f"{prefix!r} names several things: {listed}; give more of the digest")
    if matches:
        return _subject(space, matches)
    return _delivered(space, schema.inputs.c.data_version.startswith(prefix), is_newest=False)


def _delivered(space: Workspace, *where: Any, is_newest: bool) -> AuditSubject | None:
    """Delivered bytes and the manifests that read them."""
    columns = schema.inputs.c
    query = select(columns.consumer, columns.asset, columns.partition, columns.data_version).where(columns.producer.is_(None))
    with space.ledger.engine.connect() as connection:
        rows = connection.execute(query.where(*where).order_by(columns.consumer)).all()
    if not rows:
        return None
    last = rows[-1]
    digests = {row.data_version for row in rows}
    if len(digests) > 1 and not is_newest:
        listed = "; ".join(f"{row.asset} {row.partition} {row.data_version[:16]}" for row in rows[:8])
        raise UnknownReference(f"the digest begins several delivered files: {listed}; give more of it")
    seqs = tuple({row.consumer: None for row in rows if row.data_version == last.data_version})
    return AuditSubject(last.asset.split("/")[1], last.asset, last.partition, seqs, delivered=last.data_version)


def show(
    answer: Mapping[str, Any],
    *,
    lines: Callable[[Mapping[str, Any]], Iterable[str]],
    page: Callable[[Mapping[str, Any]], str],
    html: Path | None,
    as_json: bool,
) -> None:
    """Write the answer as a page where asked for; print it as JSON, or, where neither was asked for, as text."""
    if html is not None:
        html.parent.mkdir(parents=True, exist_ok=True)
        html.write_text(page(answer), encoding="utf-8")
        click.echo(f"wrote {html}")
    if as_json:
        click.echo(json.dumps(answer, indent=1))
    elif html is None:
        click.echo("\n".join(lines(answer)))
