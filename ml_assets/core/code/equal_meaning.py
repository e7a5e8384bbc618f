"""Equality of two texts by meaning: Python without comments, docstrings and names that only people need; SQL without comments."""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import PurePosixPath
from types import MappingProxyType

from ml_assets.core.digests import digest_json, sha256

PLACEHOLDER = "·"
"""Stands for a name of the project's own code, which a rename or a move would change; what it names is followed instead."""
_NOTHING = (ast.Pass, ast.Import, ast.ImportFrom)
_SQL_TOKEN = re.compile(
    r"""(?P<gap>\s+|--[^\n]*|/\*.*?\*/|\{\#.*?\#\})"""  # nothing: space, comments of SQL and of Jinja
    r"""|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$\$.*?\$\$"""  # quoted text and names, kept as they are
    r"""|[\w.]+|[^\w.\s'"$(),;{/-]+|.""",  # words, numbers, operators, anything else
    re.DOTALL,
)


@lru_cache(maxsize=1024)
def file_digest(name: str, content: bytes) -> str:
    """Digest of what a .py or .sql file says, without comments; of the bytes of any other file."""
    suffix = PurePosixPath(name).suffix
    if suffix == ".py":
        return sha256(ast.dump(_Bare().visit(ast.parse(content))).encode())
    if suffix == ".sql":
        return digest_json(sql_meaning(content.decode()))
    return sha256(content)


def sql_meaning(text: str) -> list[str]:
    """The tokens of a SQL text that mean something."""
    return [token[0] for token in _SQL_TOKEN.finditer(text) if token["gap"] is None]


def says(node: ast.AST, *, own: frozenset[str] = frozenset(), foreign: Mapping[str, str] = MappingProxyType({})) -> str:
    """The computation of a definition, as text: no docstrings, no imports, no annotations but those of a class's fields.

    `own` are names of the project's code. `foreign` maps other names to what they are, whatever they are called here ("np" is
    "numpy", "floor" is "math.floor").
    """
    if isinstance(node, ast.Name):
        return PLACEHOLDER if node.id in own else foreign.get(node.id, node.id)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in foreign:
        return f"{foreign[node.value.id]}.{node.attr}"
    fields = (f"{name}={_value(value, own, foreign)}" for name, value in _fields(node))
    return f"{type(node).__name__}({', '.join(fields)})"


def _value(value: object, own: frozenset[str], foreign: Mapping[str, str]) -> str:
    if isinstance(value, ast.AST):
        return says(value, own=own, foreign=foreign)
    if isinstance(value, list):
        items = (item for item in value if not _does_nothing(item))
        return f"[{', '.join(_value(item, own, foreign) for item in items)}]"
    return repr(value)


def _does_nothing(node: object) -> bool:
    if isinstance(node, ast.AnnAssign):
        return node.value is None and not hasattr(node, "is_field")
    return isinstance(node, _NOTHING) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


def _fields(node: ast.AST) -> Iterable[tuple[str, object]]:
    """The parts of a node that decide what it computes."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            left_out = {"returns", "type_comment", "type_params"}
        case ast.ClassDef():
            for part in node.body:
                if isinstance(part, ast.AnnAssign):
                    part.is_field = True  # type: ignore[attr-defined]
            left_out = {"type_params"}
        case ast.arg():
            left_out = {"annotation", "type_comment"}
        case ast.AnnAssign():
            left_out = set() if hasattr(node, "is_field") else {"annotation", "simple"}
        case _:
            left_out = {"ctx", "kind", "type_comment"}
    return ((name, value) for name, value in ast.iter_fields(node) if name not in left_out)


class _Bare(ast.NodeTransformer):
    """Takes away the statements that do nothing: docstrings, other bare constants, and `pass`."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        return None if isinstance(node.value, ast.Constant) else node

    def visit_Pass(self, _: ast.Pass) -> None:
        return None


def in_order(node: ast.AST) -> Iterator[ast.AST]:
    """A node and all below it, depth first."""
    yield node
    for child in ast.iter_child_nodes(node):
        yield from in_order(child)
