"""`ml-assets lineage`: what made a release, a model, a partition or a prediction, down to the delivered bytes."""

import json
from collections.abc import Iterator
from typing import Any

import click

from ml_assets.cli.common import workspace
from ml_assets.core.manifests import Manifest
from ml_assets.errors import MlAssetsError
from resources.workspace import Workspace


class UnknownReference(MlAssetsError):
    """Nothing in the ledger has this name."""


@click.command()
@click.argument("reference")
@click.option("--json", "as_json", is_flag=True, help="Print the tree as JSON.")
def command(reference: str, as_json: bool) -> None:
    """Show what made REFERENCE.

    REFERENCE is a release's name, the beginning of a digest or manifest id (6 characters or more), PRODUCT/STAGE:PARTITION
    (flights/features:2013-03), or a prediction id.
    """
    space = workspace()
    manifest = resolve(space, reference)
    if as_json:
        click.echo(json.dumps(tree(space, manifest), indent=1))
    else:
        click.echo("\n".join(lines(space, manifest)))


def resolve(space: Workspace, reference: str) -> Manifest:
    """The manifest that a reference names. Raises UnknownReference, or lists the candidates when there are several."""
    if ":" in reference and "/" in reference:
        asset, partition = reference.split(":", 1)
        product, stage = asset.split("/", 1)
        found = space.ledger.current(product, stage, partition)
        if found:
            return found
    if named := space.ledger.release_named(reference):
        return named
    if predicted := _release_of_prediction(space, reference):
        return predicted
    matches = space.ledger.by_prefix(reference) if len(reference) >= 6 else []
    if len(matches) == 1:
        return matches[0]
    if len({m.data_version for m in matches}) == 1 and matches:
        return matches[-1]
    listed = "; ".join(f"{m.asset} {m.partition} {m.id[:12]}" for m in matches[:8])
    raise UnknownReference(
        f"{reference!r} names {f'several things: {listed}' if matches else 'nothing in the ledger'}; "
        f"give a release's name, 6 or more characters of a digest, PRODUCT/STAGE:PARTITION, or a prediction id"
    )


def _release_of_prediction(space: Workspace, reference: str) -> Manifest | None:
    from ml_assets.serving.prediction_records import find

    for folder in sorted((space.settings.home / "predictions").glob("*")):
        if record := find(folder, reference):
            return space.ledger.release_named(record["release"])
    return None


def tree(space: Workspace, manifest: Manifest, seen: set[str] | None = None) -> dict[str, Any]:
    """The manifest with its evidence and its inputs, each as a tree; what was shown before is named by its id only."""
    seen = set() if seen is None else seen
    recipe = manifest.recipe
    node = {"manifest": manifest.id, "asset": manifest.asset, "partition": manifest.partition}
    node |= {"data_version": manifest.data_version, "snapshot": manifest.snapshot}
    if manifest.id in seen:
        return node
    seen.add(manifest.id)
    evidence = {c: e.body["passed"] for c, e in space.ledger.evidence(manifest.id).items()}
    inputs: list[dict[str, Any]] = []
    for given in recipe.inputs:
        source = space.ledger.manifest(given.manifest) if given.manifest else None
        delivered = {"asset": given.asset, "partition": given.partition, "delivered_sha256": given.data_version}
        inputs.append(tree(space, source, seen) if source else delivered)
    decided = {"code": recipe.code, "config": recipe.config, "environment": recipe.environment, "seed": recipe.seed}
    about = {"threads": recipe.threads, "details": dict(recipe.details), "facts": dict(manifest.facts)}
    return {**node, **decided, **about, "evidence": evidence, "inputs": inputs}


def lines(space: Workspace, manifest: Manifest) -> list[str]:
    """The tree as text, one line a node; what was shown before is marked and not opened again."""
    shown: set[str] = set()

    def walk(node: Manifest, first: str, rest: str) -> Iterator[str]:
        again = node.id in shown
        shown.add(node.id)
        yield f"{first}{_label(space, node)}{'  (shown above)' if again else ''}"
        if again:
            return
        given = node.recipe.inputs
        for number, each in enumerate(given, 1):
            branch, below = ("└─ ", "   ") if number == len(given) else ("├─ ", "│  ")
            source = space.ledger.manifest(each.manifest) if each.manifest else None
            if source is None:
                yield f"{rest}{branch}{each.asset} {each.partition} delivered bytes sha256 {each.data_version[:16]}"
            else:
                yield from walk(source, rest + branch, rest + below)

    return list(walk(manifest, "", ""))


def _label(space: Workspace, node: Manifest) -> str:
    evidence = space.ledger.evidence(node.id)
    failed = [claim for claim, entry in evidence.items() if not entry.body["passed"]]
    checks = f"  checks {len(evidence) - len(failed)}/{len(evidence)}" if evidence else ""
    told = f"  failed: {', '.join(failed)}" if failed else ""
    name = f"  release {node.facts['release']}" if "release" in node.facts else ""
    verdict = f"  {node.facts['verdict']['decision']}" if "verdict" in node.facts else ""
    return f"{node.asset} {node.partition}  {node.data_version[:16]}  code {node.recipe.code[:8]}{name}{verdict}{checks}{told}"
