"""The shell's suggestions for an argument that names something of a home."""

from typing import Any

import click
from click.shell_completion import CompletionItem

from ml_assets.errors import MlAssetsError


class ProductName(click.ParamType[str]):
    """The name of a product; the shell offers those there are. Whether there is such a product says the command."""

    name = "product"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the products whose names begin like this; none where the settings or a folder cannot be read."""
        from resources.settings import settings

        try:
            folders = settings().products
        except MlAssetsError:
            return []
        names = {path.parent.name for folder in folders for path in folder.glob("*/product.yaml")}
        return [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete)]


PRODUCT: Any = ProductName()
