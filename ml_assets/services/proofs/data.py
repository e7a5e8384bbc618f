"""Every proof of raw, dataset and features, in path order, with the function that looks."""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from ml_assets.core.lineage.manifests import Manifest
from ml_assets.services.evidence import Find, Finding, Proof
from ml_assets.services.proofs import contract, features, leakage
from ml_assets.spec.product import Product
from resources.dbt.build import Dbt
from resources.lineage import Lineage


class Looking(NamedTuple):
    """A proof and the function that looks."""

    proof: Proof
    look: Find


def data_proofs(lineage: Lineage, dbt: Dbt, product: Product, stage: str) -> list[Looking]:
    """The proofs about one stage of the product."""
    pending = [
        Looking(contract.CONTRACT, partial(contract.keeps_contract, lineage, product)),
        Looking(contract.ROWS, partial(contract.accounted, lineage, product)),
        Looking(features.dbt_proof(product), partial(features.dbt_tests, lineage.snapshots, dbt, product)),
        Looking(features.FEATURES_CONTRACT, partial(features.keeps_contract, lineage.snapshots, product)),
        Looking(leakage.LEAKAGE, partial(leakage.no_leakage, lineage, dbt, product)),
    ]
    return [proof for proof in pending if proof.proof.stage == stage]


def prove_all(lineage: Lineage, dbt: Dbt, product: Product, manifest: Manifest, *, run: str) -> Iterator[tuple[Finding, bool]]:
    """Every claim about one manifest of a data stage."""
    for proof, look in data_proofs(lineage, dbt, product, manifest.recipe.stage):
        yield from proof.prove(lineage.ledger, product, manifest, look, run=run)
