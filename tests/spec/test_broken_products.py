"""A product that cannot run is refused when it is loaded: by file and line, with the cure, and without a traceback."""

from pathlib import Path

import pytest

from ml_assets.services.runnable_products import checked, checked_products
from ml_assets.spec.product import ProductError, load
from tests.support.broken_products import BROKEN
from tests.support.homes.shop import SHOP


@pytest.mark.parametrize("name", BROKEN)
def test_a_product_that_cannot_run_is_refused_by_file_and_line_with_the_cure(tmp_path: Path, name: str) -> None:
    broken = BROKEN[name]
    folder = broken.write(tmp_path)
    with pytest.raises(ProductError) as caught:
        checked(load(folder), tmp_path / "cache")
    expected = (broken.place(folder), *broken.says)
    assert any(all(part in problem for part in expected) for problem in caught.value.problems), (expected, caught.value.problems)
    assert all("\n" not in problem for problem in caught.value.problems)


def test_a_product_that_can_run_is_checked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    product = load(SHOP)
    assert checked(product, tmp_path) is product
    monkeypatch.setattr("ml_assets.services.runnable_products.problems", lambda _: ["looked again"])
    assert checked(product, tmp_path) is product
    with pytest.raises(ProductError, match="looked again"):
        checked(product, tmp_path / "other")


def test_other_products_are_loaded_beside_one_that_cannot_run(tmp_path: Path) -> None:
    BROKEN["an unknown slice"].write(tmp_path / "broken")
    products, problems = checked_products([SHOP.parent, tmp_path / "broken"], tmp_path / "cache")
    assert set(products) == {"loans", "shop", "temperature"}
    assert any("is taken by" in problem for problem in problems)
    products, problems = checked_products([tmp_path / "broken"], tmp_path / "cache")
    assert not products
    assert len(problems) == 1


def test_a_folder_of_products_that_is_none_is_named(tmp_path: Path) -> None:
    for folder, says in ((tmp_path / "nowhere", "nowhere is not a folder"), (SHOP, f"a product's own folder.*: {SHOP.parent}")):
        with pytest.raises(ProductError, match=f"ML_ASSETS_PRODUCTS: .*{says}"):
            raise ProductError(*checked_products([folder], tmp_path)[1])
