"""Whether the SQL of `<name>_labels` makes the column that product.yaml calls the label, as far as its text says."""

import re
from collections.abc import Iterator, Mapping

import sqlglot
from sqlglot import exp

from ml_assets.spec.declaration_places import Places
from ml_assets.spec.product import Product
from ml_assets.spec.yaml_file import unknown_name

_RELATION = re.compile(r"\{\{\s*(?:ref|source)\(([^)]*)\)\s*\}\}")


def labels_problem(product: Product, models: Mapping[str, str]) -> Iterator[str]:
    """The label, where the text names every column and not this one. A star or other Jinja leaves it to dbt."""
    file = models[f"{product.name}_labels"]
    columns = _columns(product.files.dbt[file].decode(errors="replace"))
    if columns is not None and product.features.label not in columns:
        where, hint = Places(product.files).key("features", "label"), unknown_name(product.features.label, allowed=columns)
        yield f"{where}: {product.files.dbt_path(file)} makes no column '{product.features.label}'; {hint}"


def _columns(sql: str) -> list[str] | None:
    """The names of the columns that a query selects; None where its text does not say."""
    plain = _RELATION.sub("relation", sql)
    if "{" in plain:
        return None
    try:
        query = sqlglot.parse_one(plain, dialect="duckdb")
    except sqlglot.errors.SqlglotError:  # dbt names what is wrong with it
        return None
    if not isinstance(query, exp.Query) or query.is_star:
        return None
    return [name for name in query.named_selects if name]
