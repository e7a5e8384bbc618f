"""Names that the shell offers, and names that are meant where one is mistyped."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from ml_assets.cli import cli
from ml_assets.cli.shared.completion import PRODUCT
from ml_assets.cli.shared.context import UnknownProduct, product_named
from resources.settings import settings

PRODUCTS = Path(__file__).parents[1] / "products"


def completed(words: str, *, products: Path = PRODUCTS) -> list[str]:
    """What the shell offers after these words, the last of which is not finished."""
    environ = {"_ML_ASSETS_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**environ, "ML_ASSETS_PRODUCTS": str(products)}.items():
            patch.setenv(name, value)
        lines = CliRunner().invoke(cli, prog_name="ml-assets", env=dict(os.environ)).output.split()
    return [line.removeprefix("plain,") for line in lines]


def test_the_shell_offers_commands_and_products() -> None:
    assert completed("ml-assets sta") == ["status"]
    assert completed("ml-assets status ") == ["loans", "shop", "temperature"]
    assert completed("ml-assets run te") == ["temperature"]
    assert completed("ml-assets status ", products=PRODUCTS / "none") == []


def test_every_argument_that_is_a_product_offers_them() -> None:
    context = cli.make_context("ml-assets", ["status"])
    commands = [cli.get_command(context, name) for name in cli.list_commands(context)]
    arguments = [param for command in commands if command for param in command.params if param.name == "product"]
    assert len(arguments) > 20
    assert all(param.type is PRODUCT for param in arguments if param.param_type_name == "argument")


def test_a_mistyped_name_is_answered_with_the_one_that_is_meant() -> None:
    mistyped = CliRunner().invoke(cli, ["stauts", "shop"])
    assert (mistyped.exit_code, "No such command 'stauts'. Did you mean 'status'?" in mistyped.output) == (2, True)
    nothing_like_it = CliRunner().invoke(cli, ["xyzzy"])
    assert "Did you mean" not in nothing_like_it.output
    with pytest.raises(
        UnknownProduct, match=r"^there is no product 'shp'; did you mean 'shop'\? there are: loans, shop, temperature$"
    ):
        product_named("shp", settings({"ML_ASSETS_PRODUCTS": str(PRODUCTS)}))
