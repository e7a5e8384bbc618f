"""The places of the parts of a product's declaration, as `file:line`, for the messages that name them."""

import ast
from collections.abc import Iterator
from functools import cached_property

from ml_assets.spec.product_files import CONTRACT_FILE, SPEC_FILE, ProductFiles
from ml_assets.spec.yaml_file import Parsed, SpecFileProblems, dotted, parsed


class Places:
    """The places of one declaration. What cannot be found is placed in the nearest part that holds it."""

    def __init__(self, files: ProductFiles) -> None:
        """Look in these files; they are parsed on first use."""
        self.files = files

    def key(self, *loc: str | int) -> str:
        """A key of product.yaml, with its path."""
        line = self._spec.line_of(loc) if self._spec else 1
        return f"{self.files.folder / SPEC_FILE}:{line}: {dotted(loc)}"

    def model(self, model: str, column: str = "") -> str:
        """A model of contract.py, or a column of it by its name or its alias."""
        line = self._lines.get((model, column)) or self._lines.get((model, ""), 1)
        return f"{self.files.folder / CONTRACT_FILE}:{line}"

    def column(self, model: type, column: str) -> str:
        """A column of a model of contract.py, in the class that declares it: the model's own, or one that it derives from."""
        names = [kind.__name__ for kind in model.__mro__]
        declaring = next((name for name in names if (name, column) in self._lines), model.__name__)
        return self.model(declaring, column)

    def assignment(self, name: str) -> str:
        """A name that contract.py assigns."""
        return self.model("", name)

    @cached_property
    def _spec(self) -> Parsed | None:
        try:
            return parsed(self.files.folder / SPEC_FILE, self.files.spec)
        except SpecFileProblems:  # already reported: no product is loaded from it
            return None

    @cached_property
    def _lines(self) -> dict[tuple[str, str], int]:
        try:
            tree = ast.parse(self.files.contract or b"")
        except (SyntaxError, ValueError):  # already reported with its own line
            return {}
        lines: dict[tuple[str, str], int] = {}
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                lines[node.name, ""] = node.lineno
                lines |= {(node.name, name): part.lineno for part in node.body for name in _columns(part)}
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                lines |= {("", target.id): node.lineno for target in targets if isinstance(target, ast.Name)}
        return lines


def _columns(node: ast.stmt) -> Iterator[str]:
    """The names under which a statement of a class declares a column, or a check."""
    if isinstance(node, ast.FunctionDef):
        yield node.name
    if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
        return
    yield node.target.id
    for keyword in node.value.keywords if isinstance(node.value, ast.Call) else ():
        if keyword.arg == "alias" and isinstance(keyword.value, ast.Constant):
            yield str(keyword.value.value)
