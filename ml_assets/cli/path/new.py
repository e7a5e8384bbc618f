"""`ml-assets new`: a product drafted from a team's own data."""

import re
from pathlib import Path

import click

from ml_assets.cli.shared.context import workspace
from ml_assets.core.draft.request import DraftRefused, DraftRequest
from ml_assets.errors import MlAssetsError
from ml_assets.spec.product import load_each
from resources.settings import ROOT, Settings

EVERY = ("hour", "day", "week", "month", "quarter", "year", "delivery")
_NAME = re.compile(r"^[a-z][a-z0-9_]*$")


class NoPlaceForProducts(MlAssetsError):
    """The folder of products is one that nobody should write to."""


@click.command()
@click.argument("name")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE…")
@click.option("--label", required=True, metavar="COLUMN", help="The outcome that the model predicts.")
@click.option(
    "--key",
    multiple=True,
    metavar="COLUMN",
    help="A column that identifies a row; repeatable. Detected from the data if not given.",
)
@click.option("--time", metavar="COLUMN", help="The time of the question. Detected from the data if not given.")
@click.option("--time-format", metavar="FORMAT", help="The format of times: '%d.%m.%Y %H:%M', epoch_s; detected if not given.")
@click.option(
    "--group", metavar="COLUMN", help="Rows with the same value depend on each other; a verdict counts values, not rows."
)
@click.option("--task", type=click.Choice(["binary", "regression", "multiclass"]), help="Detected from the label if not given.")
@click.option("--positive", metavar="VALUE", help="The value of the label that is the yes; all others are the no.")
@click.option("--every", type=click.Choice(EVERY), help="The length of a delivery; delivery: not by time. Detected if not given.")
@click.option("--after", multiple=True, metavar="COLUMN", help="It is not known when the question is asked; repeatable.")
@click.option("--known", multiple=True, metavar="COLUMN", help="It is known then, however well it tells the label; repeatable.")
@click.option(
    "--query",
    metavar="SQL",
    help="The rows, where SOURCE is a database: postgresql+psycopg://HOST/NAME, duckdb:///FILE, env:VARIABLE with the URL in it.",
)
def command(
    name: str, *, sources: tuple[str, ...], time_format: str | None, query: str | None, **options: str | tuple[str, ...] | None
) -> None:
    """Draft the product NAME from your own rows: CSV or Parquet files, folders of them, or a database with --query.

    Writes product.yaml, contract.py and SQL into the folder of products; into the home the history, cut into deliveries, and a
    page about the data. Above every drafted limit a comment says for how many rows it holds; gates are tried on the
    history. Nothing is written over. All sources are one table.
    """
    from ml_assets.services.new_product.drafting import new_product, refuse_existing
    from ml_assets.services.new_product.sources import read_sources
    from ml_assets.services.new_product.stored_history import StoredHistory
    from ml_assets.services.new_product.summary import summary

    space = workspace()
    if not _NAME.match(name):
        raise DraftRefused(f"{name!r} is not a name of a product; write lower case letters, digits and _, a letter first")
    root = products_folder(space.settings)
    products, _ = load_each([folder for folder in space.settings.products if folder.is_dir()])
    if name in products:
        raise DraftRefused(f"there is a product {name} already, in {products[name].folder}; choose another name")
    refuse_existing(root / name, StoredHistory.of(space.settings.home, name))
    written = new_product(
        read_sources(sources, query=query),
        DraftRequest(name=name, **options),  # type: ignore[arg-type]
        root=root,
        home=space.settings.home,
        taken_ports=[product.endpoint.port for product in products.values()],
        time_format=time_format,
        say=click.echo,
    )
    click.echo(f"\n{summary(written)}")


def products_folder(current: Settings) -> Path:
    """The folder that a new product is written to: the first of ML_ASSETS_PRODUCTS, or the checkout's own."""
    root = current.products[0]
    is_default = root == (ROOT / "ml_assets" / "products").resolve()
    if is_default and not (ROOT / "pyproject.toml").is_file():
        raise NoPlaceForProducts(
            "ml-assets is installed, and an installed package holds no products of yours: set ML_ASSETS_PRODUCTS to a folder of "
            "your own, such as ML_ASSETS_PRODUCTS=products"
        )
    return root
