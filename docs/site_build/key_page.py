"""The reference of product.yaml's keys, from the models that load it."""

from itertools import groupby
from typing import get_args

from keys import Key, keys
from tables import block, cell, code, table

from ml_assets.spec.base_section import Section
from ml_assets.spec.product import Product
from resources.settings import ROOT

LEAD = """# Keys of product.yaml

Every key, with what may be written, its default and an example. A key without a default must be there. What a key means and what
it goes with is in [declaring a product](../product.md) and [gates](../gates.md); `ml-assets schema` prints the same as a JSON
Schema, by which editors complete and check.

`<table>` and `<parameter>` are names of your own, `[]` is each entry of a list.

"""


def key_page() -> str:
    """The page: a heading and a table for each section."""
    parts = [LEAD]
    for top, group in groupby(keys(), key=lambda key: key.path.partition(".")[0]):
        rows = list(group)
        about = _about(top)
        parts.append(f"## {top}\n\n{about}\n\n" if about else f"## {top}\n\n")
        parts.append(table(("key", "allowed", "default", "example"), map(_row, rows)) + "\n")
    parts += ["## A whole one\n\n", "That of flights, which `make demo` replays:\n\n", block(_flights(), "yaml")]
    return "".join(parts)


def _row(key: Key) -> tuple[str, str, str, str]:
    last = key.path.rpartition(".")[2].removesuffix("[]")
    return (
        code(key.path),
        key.allowed,
        code(key.default) if key.default != "none" else "none",
        code(f"{last}: {key.example}" if key.example else ""),
    )


def _about(top: str) -> str:
    """The docstring of a section; empty for a plain value."""
    annotation = Product.model_fields[top].annotation
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, Section):
            return cell(kind.__doc__ or "").replace("&lt;", "<")
    return ""


def _flights() -> str:
    return (ROOT / "ml_assets" / "products" / "flights" / "product.yaml").read_text(encoding="utf-8")
