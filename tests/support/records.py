"""Manifests and ledgers made by hand, and the check that a ledger's chain is whole."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.digests import digest_json
from ml_assets.core.lineage.attempts import AttemptRecord
from ml_assets.core.lineage.manifests import Input, Manifest, Recipe
from ml_assets.core.release.records import MoveRecord
from resources.ledger.chain import GENESIS, rule_of
from resources.ledger.ledger import Ledger

JUDGED: dict[str, Any] = {"verdict": {"decision": "ACCEPT"}, "candidate": "c" * 64, "tested": ["2013-02"]}
"""Facts that every evaluation has."""


def recipe(stage: str = "dataset", partition: str = "2013-01", **changes: Any) -> Recipe:
    """A recipe of the trains."""
    given = {"code": "c" * 64, "config": "f" * 64, "environment": "e" * 64}
    return Recipe(product="trains", stage=stage, partition=partition, **(given | changes))


def manifest(content: str = "", *, facts: Any = None, inputs: Sequence[Input] = (), **changes: Any) -> Manifest:
    """A manifest whose snapshot is named by `content`."""
    digest = digest_json([content, changes.get("stage", "dataset")])
    return Manifest(recipe(**changes, inputs=tuple(inputs)), digest, digest, facts or {})


def release(name: str, as_of: str = "2013-02", **changes: Any) -> Manifest:
    """A release of this name."""
    return manifest(name, stage="release", partition=as_of, facts={"release": name}, **changes)


def serves(workspace: Workspace, *releases: Manifest) -> None:
    """Let the releases answer in production, one after another."""
    for release in releases:
        workspace.ledger.publish(release, run="r")
        now = workspace.ledger.pointer("trains", "production")
        workspace.endpoints.move(
            "promotion",
            release,
            environment="production",
            by="test",
            reason="ACCEPT",
            expected=now.body.bundle if now else None,
        )


def pointing(bundle: str, environment: str = "production", as_of: str = "2013-02", *, product: str = "trains") -> MoveRecord:
    """A move to a bundle."""
    about = {"release": f"{as_of}.{bundle}", "manifest": "m" * 64, "previous": None, "by": "test", "reason": "a test"}
    return MoveRecord(product=product, environment=environment, bundle=bundle, as_of=as_of, is_proven=True, **about)


def broken(ledger: Ledger) -> list[int]:
    """Where the chain breaks: the places of the entries that do not follow from the one before."""
    entries = ledger.entries()
    before = [GENESIS, *(entry.hash for entry in entries)]
    return [i for i, e in enumerate(entries, 1) if (e.seq, e.previous) != (i, before[i - 1]) or rule_of(e) is None]


def flip(content: bytes, *, at: int, by: int = 1) -> bytes:
    """The bytes with one of them changed."""
    return content[:at] + bytes([content[at] ^ by]) + content[at + 1 :]


def damage(path: Path, *, at: int = 0, by: int = 1) -> None:
    """Change one byte of a file, read-only or not."""
    content = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(flip(content, at=at, by=by))


ATTEMPT = AttemptRecord(
    product="trains",
    partition="2013-01",
    content="a" * 64,
    reference="",
    code="c" * 64,
    number=1,
    tries=1,
    run="run-1",
    end="refused",
    outcome="data refused",
    reason="raw: schema_matches: 'delay' is missing",
)
