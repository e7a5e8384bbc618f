"""Every proof of raw, dataset and features, in path order, with the function that looks."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from ml_assets.core.lineage.manifests import Manifest
from ml_assets.services.evidence import Finding, Proof
from ml_assets.services.proofs import contract, features, leakage
from ml_assets.spec.product import Product
from resources.workspace import Workspace


class Looking(NamedTuple):
    """A proof and the function that looks."""

    proof: Proof
    look: Callable[[Workspace, Product, Manifest], Sequence[Finding]]


def data_proofs(product: Product, stage: str) -> list[Looking]:
    """What is proven of one stage of the product."""
    found = [
        Looking(contract.CONTRACT, contract.keeps_contract),
        Looking(contract.ROWS, contract.accounted),
        Looking(features.dbt_proof(product), features.dbt_tests),
        Looking(features.FEATURES_CONTRACT, features.keeps_contract),
        Looking(leakage.LEAKAGE, leakage.no_leakage),
    ]
    return [each for each in found if each.proof.stage == stage]


def prove_all(space: Workspace, product: Product, manifest: Manifest, *, run: str) -> Iterator[tuple[Finding, bool]]:
    """Every claim about one manifest of a data stage."""
    for proof, look in data_proofs(product, manifest.recipe.stage):
        yield from proof.prove(space, product, manifest, partial(look, space, product), run=run)
