"""An older ledger in the place of a newer one is recognised, goes on only by a named person, and refunds nothing."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ml_assets.cli import cli
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.spec.product import Product, load
from resources.ledger import head_checkpoint
from resources.ledger.budget import Budget, WindowRetired
from resources.ledger.head_checkpoint import LedgerRolledBack
from resources.ledger.ledger import Ledger
from resources.ledger.restoration import restore
from resources.settings import settings
from tests.support.homes.shop import SHOP
from tests.support.records import damage, manifest, pointing

OLD, ASKED, NEXT = "2024-03-02", "2024-03-03", "2024-03-04"


@pytest.fixture
def product() -> Product:
    return load(SHOP)


@pytest.fixture
def space(tmp_path: Path) -> Workspace:
    return Workspace(settings({"ML_ASSETS_HOME": str(tmp_path / "home"), "ML_ASSETS_PRODUCTS": str(SHOP.parent)}))


def look(ledger: Ledger, product: Product, day: str, comparison: str = "c") -> None:
    Budget(ledger).charge(product, tested=[day], comparison=comparison, gate="g", run="r")


def rolled_back(space: Workspace, product: Product) -> None:
    """A look before a copy of the ledger is made, another after it, and then the copy is put in its place."""
    file = space.settings.home / "ledger.db"
    space.ledger.append("refusal", {"n": 1})
    look(space.ledger, product, OLD)
    for day in (OLD, ASKED):
        space.landing.put(product, "orders", day, b"id\n1\n")
    space.ledger.close()
    shutil.copy(file, file.with_name("copy.db"))
    look(space.ledger, product, ASKED)
    space.ledger.append("refusal", {"n": 2})
    space.ledger.close()
    shutil.copy(file.with_name("copy.db"), file)


def invoke(space: Workspace, *arguments: str) -> Result:
    own = {"ML_ASSETS_HOME": str(space.settings.home), "ML_ASSETS_PRODUCTS": str(SHOP.parent)}
    return CliRunner().invoke(cli, arguments, env=own)


WAYS: dict[str, Callable[[Ledger, Product], object]] = {
    "append": lambda ledger, _: ledger.append("refusal", {}),
    "publish": lambda ledger, _: ledger.publish(manifest(), run="r"),
    "move": lambda ledger, _: ledger.move_pointer("promotion", pointing("a"), expected=None),
    "look": lambda ledger, product: look(ledger, product, NEXT),
}


@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_appended_to_an_older_copy_and_it_keeps_being_refused(space: Workspace, product: Product, way: str) -> None:
    rolled_back(space, product)
    remembered = space.settings.ledger_head.read_bytes()
    for _ in range(2):
        with pytest.raises(LedgerRolledBack, match=r"does not hold entry 4, .* `ml-assets restore --by NAME --reason TEXT`"):
            WAYS[way](space.ledger, product)
    assert len(space.ledger.entries()) == 2
    assert space.settings.ledger_head.read_bytes() == remembered
    assert "remembers entry 4; the ledger ends at 2" in invoke(space, "verify").output
    assert space.settings.ledger_head.read_bytes() == remembered, "verify launders nothing"


def test_another_ledger_of_the_same_length_is_recognised_too(space: Workspace) -> None:
    space.ledger.append("refusal", {"n": 1})
    space.ledger.close()
    (space.settings.home / "ledger.db").unlink()
    other = Ledger(space.settings.ledger)
    other.append("refusal", {"n": 2})
    other.close()
    with pytest.raises(LedgerRolledBack):
        space.ledger.append("refusal", {})


def test_a_person_lets_it_go_on_and_no_window_that_may_have_been_asked_opens_again(space: Workspace, product: Product) -> None:
    rolled_back(space, product)
    done = invoke(space, "restore", "--by", "ann", "--reason", "the disk is gone", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.output) == {"entry": 3, "lost": 4, "kept": 2, "closed": {"shop": ASKED}, "by": "ann"}
    for day in (OLD, ASKED):
        with pytest.raises(WindowRetired, match="the ledger was restored on "):
            look(space.ledger, product, day, "another")
        assert Budget(space.ledger).window(product, [day]).left == 0
    look(space.ledger, product, NEXT)
    assert head_checkpoint.read(space.settings.ledger_head) is not None
    assert space.ledger.holds(head_checkpoint.read(space.settings.ledger_head) or head_checkpoint.Head(0, ""))
    verified = invoke(space, "verify")
    assert verified.exit_code == 0, verified.output
    assert "an older copy continues here: what came after entry 2 was lost, by ann: 'the disk is gone'" in verified.output


def test_it_is_recognised_again_after_a_restoration(space: Workspace, product: Product) -> None:
    rolled_back(space, product)
    restore(space.ledger, {"shop": ASKED}, by="ann", reason="the disk is gone")
    space.ledger.close()
    shutil.copy(space.settings.home / "copy.db", space.settings.home / "ledger.db")
    with pytest.raises(LedgerRolledBack, match="does not hold entry 3"):
        space.ledger.append("refusal", {})


@pytest.mark.parametrize(("by", "reason"), [("", "why"), ("ann", " "), ("\u200b", "why")])
def test_nobody_and_no_reason_restore_nothing(space: Workspace, product: Product, by: str, reason: str) -> None:
    rolled_back(space, product)
    refused = invoke(space, "restore", "--by", by, "--reason", reason)
    assert refused.exit_code == 1
    assert len(space.ledger.entries()) == 2
    with pytest.raises(LedgerRolledBack):
        space.ledger.append("refusal", {})


def test_a_whole_ledger_is_not_restored(space: Workspace, product: Product) -> None:
    look(space.ledger, product, OLD)
    refused = invoke(space, "restore", "--by", "ann", "--reason", "another try")
    assert refused.exit_code == 1
    assert "there is nothing to restore" in str(refused.exception)
    assert Budget(space.ledger).window(product, [OLD]).looks


def test_a_home_that_remembers_nothing_or_a_damaged_head_is_not_in_the_way(space: Workspace) -> None:
    space.ledger.append("refusal", {})
    damage(space.settings.ledger_head)
    space.ledger.append("refusal", {})
    space.settings.ledger_head.unlink()
    space.ledger.append("refusal", {})
    assert len(space.ledger.entries()) == 3
