"""The differences between two sides: every product's declaration, contract, SQL and code."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import yaml

from ml_assets.core.changes.change import Change
from ml_assets.core.changes.commit_side import Side
from ml_assets.core.changes.contract_changes import contract_changes
from ml_assets.core.changes.data_test_changes import data_test_changes
from ml_assets.core.changes.declaration_changes import declaration_changes
from ml_assets.core.changes.locked_libraries import ITSELF
from ml_assets.core.changes.stale_stages import StaleStage, changed_code, changed_files, changed_packages, stale_stages
from ml_assets.core.contract.schema import ContractError
from ml_assets.core.lineage.stages import STAGES
from ml_assets.spec.product import Product, ProductError
from ml_assets.spec.product_files import CONTRACT_FILE

JUDGING = (
    "ml_assets.core.evaluation.snapshot:judge_candidate",
    "ml_assets.core.gates.unproven:unproven",
    "ml_assets.core.release.promotion:decide",
    "ml_assets.services.claims:features_claims",
    "ml_assets.services.claims:release_claims",
    "ml_assets.services.claims:staging_claims",
)
"""The functions that decide whether a candidate may serve: all that these functions reach."""
PROOFS = (
    "checks",
    "ml_assets.services.comparisons",
    "ml_assets.services.evidence",
    "ml_assets.services.judging",
    "ml_assets.services.promotion_policy",
    "ml_assets.services.proofs",
    "ml_assets.services.release_status",
    "ml_assets.stages.endpoint",
    "ml_assets.stages.evaluation",
    "ml_assets.stages.release",
    "resources.ledger.budget",
    "resources.ledger.decisions",
)
"""The modules that look at data and releases, record that, and ask the record: these modules' own code, not what it reaches."""
CONTRACT = "contract"
UNREAD = "contract.py has changed, and none of its code is executed here"
OWN_DBT = "dbt/"
"""How the names of a product's own dbt files begin; the others are shared by all products."""


@dataclass(frozen=True)
class Differences:
    """Both sides of the products that are looked at, and what differs between them."""

    base: Side
    head: Side
    changes: Sequence[Change]
    stale: Sequence[StaleStage]
    problems: Sequence[str]


def differences(base: Side, head: Side, products: Sequence[str] = (), *, may_execute: bool = True) -> Differences:
    """The differences between two sides, for all products or for some. Contracts are Python, and are compared rule by rule if
    head's may be executed."""
    names = [name for name in dict.fromkeys([*base.products, *base.problems, *head.products]) if not products or name in products]
    both = [name for name in names if name in base.products and name in head.products]
    return Differences(
        base,
        head,
        changes=[change for name in names for change in _changes(base, head, name, may_execute=may_execute)],
        stale=[stage for name in both for stage in stale_stages(base, head, name)],
        problems=[problem for name, problem in head.problems.items() if not products or name in products],
    )


def _changes(base: Side, head: Side, name: str, *, may_execute: bool) -> Iterator[Change]:
    if name in head.problems:
        return
    if name not in head.products:
        yield Change(product=name, name="product", effect="weakened", old=name, reason="the product is gone, with all its gates")
    elif name in base.problems:
        reason = f"base's declaration cannot be read by this code: {base.problems[name]}"
        yield Change(product=name, name="product.yaml", effect="weakened", reason=reason)
    elif name not in base.products:
        yield Change(product=name, name="product", effect="changed", new=name, reason="a new product")
    else:
        yield from declaration_changes(base.products[name], head.products[name])
        yield from _files(base, head, name, may_execute=may_execute)
        if changed := _judging_code(base, head, name):
            yield changed


def _judging_code(base: Side, head: Side, name: str) -> Change | None:
    """The change of the code that judges a candidate, where it computes differently or is pinned differently."""
    was, now = (side.libraries.get(ITSELF) for side in (base, head))
    modules = [*changed_code(base, head, *JUDGING), *changed_packages(base, head, *PROOFS)]
    if not modules and was == now:
        return None
    reason = f"what judges a candidate computes otherwise: {', '.join(modules)}" if modules else "another ml-assets judges"
    return Change(product=name, name="judging code", effect="weakened", old=was, new=now, reason=reason)


def _files(base: Side, head: Side, name: str, *, may_execute: bool) -> Iterator[Change]:
    """The contract, the dbt files and the data tests that say something else."""
    old, new = base.products[name], head.products[name]
    for file in changed_files(base, head, name, STAGES["features"]):
        if file == CONTRACT_FILE:
            yield from (
                _contract(old, new) if may_execute else [Change(product=name, name=CONTRACT, effect="weakened", reason=UNREAD)]
            )
        elif file.startswith(OWN_DBT):
            yield Change(product=name, name=file, effect="changed")
        else:
            reason = "data tests and how dbt runs them depend on it, and nothing says which of the two asks more"
            yield Change(product=name, name=file, effect="weakened", reason=reason)
    try:
        yield from data_test_changes(name, old.files.dbt, new.files.dbt)
    except yaml.YAMLError as error:
        yield Change(product=name, name="dbt", effect="weakened", reason=f"a file is not YAML: {' '.join(str(error).split())}")


def _contract(old: Product, new: Product) -> Iterator[Change]:
    """The rules that say something else. Executes both contracts."""
    texts = (old.files.contract or b"", new.files.contract or b"")
    try:
        yield from contract_changes(new.name, old.contract, new.contract, texts=texts)
    except (ProductError, ContractError) as error:
        yield Change(product=new.name, name=CONTRACT, effect="weakened", reason=f"cannot be compared: {error}")
