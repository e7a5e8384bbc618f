"""A product with some keys set otherwise than product.yaml says, for trying them out: `model.depth=6`."""

import json
from collections.abc import Sequence
from typing import Any

import yaml

from ml_assets.spec.product import Product, ProductError
from ml_assets.spec.product_files import SPEC_FILE
from ml_assets.spec.yaml_file import SpecFileProblems, read_model


def with_values(product: Product, assignments: Sequence[str]) -> Product:
    """The product under these assignments, each a dotted key of product.yaml, `=` and a YAML value. Contract and dbt models stay
    what they are. Raises ProductError for a key or a value that product.yaml could not have."""
    if not assignments:
        return product
    content = product.model_dump(mode="json", exclude_unset=True)
    for assignment in assignments:
        _set(content, assignment)
    spec = product.folder / SPEC_FILE
    try:
        changed = read_model(spec, Product, content=json.dumps(content).encode(), context={"files": product.files})
    except SpecFileProblems as error:
        raise ProductError(*(f"--set {problem.path}: {problem.message}" for problem in error.problems)) from None
    if changed.name != product.name:
        raise ProductError(f"--set name: '{changed.name}' would be another product; it is the name of its folder")
    return changed


def _set(content: dict[str, Any], assignment: str) -> None:
    path, sign, text = assignment.partition("=")
    if not sign or not path.strip():
        raise ProductError(f"--set {assignment}: give a key of {SPEC_FILE} and a value: --set model.depth=6")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise ProductError(f"--set {assignment}: the value is not YAML") from None
    *sections, key = path.strip().split(".")
    for section in sections:
        below = content.setdefault(section, {})
        if not isinstance(below, dict):
            raise ProductError(f"--set {assignment}: {section} has no keys below it that could be set")
        content = below
    content[key] = value
