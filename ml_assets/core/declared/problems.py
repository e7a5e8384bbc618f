"""Everything that keeps a loaded product from running, with file, line and cure. Executes contract.py."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from ml_assets.core.contract.row_rules import row_rules
from ml_assets.core.contract.schema import ContractError, request_fields, rules_of
from ml_assets.core.declared.column_problems import column_problems
from ml_assets.core.declared.dbt_problems import dbt_problems
from ml_assets.core.declared.rule_problems import rule_problems
from ml_assets.spec.declaration_places import Places
from ml_assets.spec.product import Product, ProductError


def declaration_problems(product: Product) -> list[str]:
    """The mistakes in the contract, alone and together with product.yaml, and in the dbt models."""
    places = Places(product.files)
    try:
        module = product.contract
    except ProductError as error:
        return [*error.problems, *dbt_problems(product)]
    models: list[tuple[Any, Callable[[Any], object]]] = [(model, rules_of) for model in module.TABLES.values()]
    models += [(module.Request, rules_of), (module.Request, request_fields), (module.Request, row_rules)]
    models += [(module.Features, rules_of)]
    problems = dict.fromkeys(problem for model, reader in models for problem in _refusal(model, reader, places))
    fitting = [] if problems else [*column_problems(product, places), *rule_problems(product, places)]
    return [*problems, *fitting, *dbt_problems(product)]


def _refusal(model: Any, reader: Callable[[Any], object], places: Places) -> Iterator[str]:
    try:
        reader(model)
    except ContractError as error:
        named = re.match(rf"{re.escape(model.__name__)}\.(.+?): ", str(error))
        yield f"{places.column(model, named[1] if named else '')}: {error}"
