"""The current manifests that a plan reads in bulk are those that the ledger returns asset by asset."""

from typing import Any

import pytest

from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.lineage.planning import Definition
from ml_assets.services.planning import empty_plans
from ml_assets.services.planning.ledger_reads import current_manifests, production_moves, stored
from ml_assets.spec.product import Product
from resources.endpoints.moves import moves_of
from tests.support import records

KEYS = ("2013-01", "2013-02", "2013-03")


@pytest.fixture
def workspace(workspace: Workspace) -> Workspace:
    """Every partition read once, the second read again and then as at first, the third read again; and another product."""
    ledger = workspace.ledger
    for key in KEYS:
        raw = records.manifest(key, stage="raw", partition=key)
        ledger.publish(raw, run="r")
        ledger.publish(records.manifest(key, partition=key, inputs=[raw.as_input()]), run="r")
    other = raw.__class__(
        raw.recipe.__class__(**{**vars(records.recipe("raw", KEYS[0])), "product": "ships"}), "1" * 64, "1" * 64
    )
    ledger.publish(other, run="r")
    for key, contents in ((KEYS[1], ("new", KEYS[1])), (KEYS[2], ("new",))):
        for content in contents:
            ledger.publish(records.manifest(content, stage="raw", partition=key), run="r")
    return workspace


def test_the_current_manifests_and_what_they_read_are_those_of_the_ledger(workspace: Workspace, product: Product) -> None:
    with workspace.ledger.engine.connect() as connection:
        manifests = current_manifests(connection, product, stored(workspace.snapshots.blobs, connection, product)).current
    assert set(manifests) == {(stage, key) for stage in ("raw", "dataset") for key in KEYS}
    for (stage, key), read_in_bulk in manifests.items():
        current = workspace.ledger.current(product.name, stage, key)
        assert current is not None
        assert read_in_bulk.data_version == current.data_version
        read = {
            (given.asset.removeprefix(f"{product.name}/"), given.partition): given.data_version for given in current.recipe.inputs
        }
        assert read_in_bulk.inputs == read
        assert not read_in_bulk.is_there


def test_moves_are_those_of_the_endpoint_without_names(workspace: Workspace, product: Product) -> None:
    first, second = (records.release(name, as_of=key) for name, key in zip(("a", "b"), KEYS, strict=False))
    records.serves(workspace, first, second)
    workspace.endpoints.rollback(product.name, to=None, by="test", reason="test")
    with workspace.ledger.engine.connect() as connection:
        moves = production_moves(connection, product)
    expected = moves_of(workspace.ledger, product.name, "production")
    assert [(m.bundle, m.as_of, m.kind) for m in moves] == [(m.bundle, m.as_of, m.kind) for m in expected]


def test_a_state_with_nothing_to_do_is_known_and_whatever_changes_is_another(workspace: Workspace, product: Product) -> None:
    declared = {"raw": Definition("a", "b", "c")}
    seen: dict[str, Any] = {"stored": ["1"], "delivered": {KEYS[0]: {"t": "d"}}, "reference": {"r": "d"}, "definitions": declared}

    def now(**changed: Any) -> str:
        with workspace.ledger.engine.connect() as connection:
            return empty_plans.state(connection, product, **seen | changed)

    first, path = now(), workspace.settings.home / "cache" / "planned"
    assert not empty_plans.is_nothing_to_do(path, first)
    empty_plans.keep(path, first)
    assert empty_plans.is_nothing_to_do(path, now())
    others = {
        now(stored=[]),
        now(delivered={KEYS[0]: {"t": "other"}}),
        now(reference={}),
        now(definitions={"raw": Definition("a", "other", "c")}),
    }
    workspace.ledger.append("refusal", {"product": "ships"})
    others |= {now()}
    assert len(others) == 5
    assert not any(empty_plans.is_nothing_to_do(path, other) for other in others)
    path.write_bytes(path.read_bytes()[:-1])
    assert not empty_plans.is_nothing_to_do(path, first)
