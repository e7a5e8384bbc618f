"""One side of a comparison: the code, the products and the libraries of a commit, or of the work tree."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ml_assets.core.code.closure import Closure, Code, UnknownEntry
from ml_assets.spec.product import Product


@dataclass(frozen=True)
class Side:
    """`problems`: why a product's declaration cannot be read, by name. `shared_dbt`: the files that every product's dbt project
    has. `libraries`: versions by name, as they are locked."""

    code: Code
    products: Mapping[str, Product]
    problems: Mapping[str, str] = field(default_factory=dict)
    shared_dbt: Mapping[str, bytes] = field(default_factory=dict)
    libraries: Mapping[str, str] = field(default_factory=dict)

    def closure(self, *entries: str) -> Closure | None:
        """The closure of these functions; None where this side does not have them."""
        try:
            return self.code.closure(*entries)
        except UnknownEntry:
            return None

    def modules(self, *packages: str) -> list[str]:
        """The names of the modules of some packages."""
        return [
            name for name in self.code.texts if any(name == package or name.startswith(f"{package}.") for package in packages)
        ]

    def meanings(self, module: str) -> set[str]:
        """The digests of a module's definitions."""
        return {unit.meaning for unit in self.code.module(module).units.values()}
