"""The code digest of a stage: what its modules compute, without comments, docstrings or layout."""

import ast
import importlib.util
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

from ml_assets.core.digests import digest_json, sha256

FOLLOWED = "ml_assets.core"
"""Imports below this package are followed; what lies outside is named by the environment digest."""


@dataclass(frozen=True)
class Known:
    """What parsing a text told, by the text's digest, so that no text is parsed twice: the digest of what it says (by kind
    of file too), and what it imports: (level, module, names) each. It holds for any text, whatever lies where."""

    meanings: dict[str, str] = field(default_factory=dict)
    imports: dict[str, list[list[Any]]] = field(default_factory=dict)


KNOWN = Known()


def code_digest(modules: Iterable[str], files: Mapping[str, bytes] = MappingProxyType({})) -> str:
    """Digest of the modules, all of `ml_assets.core` that they import, and further Python and SQL files: bytes by name."""
    return digest_json(
        {
            "modules": {name: _module_digest(name) for name in followed(modules)},
            "files": {name: file_digest(name, content) for name, content in files.items()},
        }
    )


def code_parts(modules: Iterable[str], files: Mapping[str, bytes] = MappingProxyType({})) -> dict[str, str]:
    """What a code digest is made of, by module or file name, shortened: to tell people which of them changed."""
    named = {name: _module_digest(name) for name in followed(modules)}
    named |= {name: file_digest(name, content) for name, content in files.items()}
    return {name: digest[:12] for name, digest in named.items()}


def file_digest(name: str, content: bytes) -> str:
    """Digest of what a .py or .sql file says, without comments; of the text for any other file."""
    return _text_digest(content.decode("utf-8"), suffix=PurePosixPath(name).suffix)


def _text_digest(text: str, *, suffix: str) -> str:
    name = f"{sha256(text.encode())}{suffix}"
    if name not in KNOWN.meanings:
        KNOWN.meanings[name] = _digest_of_meaning(text, suffix)
    return KNOWN.meanings[name]


def _digest_of_meaning(text: str, suffix: str) -> str:
    if suffix == ".py":
        return sha256(_meaning(text).encode())
    if suffix == ".sql":
        return digest_json(_sql_meaning(text))
    return sha256(text.encode())


def followed(modules: Iterable[str]) -> list[str]:
    """The modules and, from one to the next, those of `ml_assets.core` that they import."""
    found: set[str] = set()
    queue = list(modules)
    while queue:
        name = queue.pop()
        if name not in found:
            found.add(name)
            queue += [i for i in imports(name) if f"{i}.".startswith(f"{FOLLOWED}.")]
    return sorted(found)


@cache
def imports(module: str) -> tuple[str, ...]:
    """The modules that a module imports, anywhere in its text."""
    text = _source(module)
    name = sha256(text.encode())
    if name not in KNOWN.imports:
        KNOWN.imports[name] = [found for node in ast.walk(ast.parse(text)) for found in _statement(node)]
    return tuple(name for level, source, names in KNOWN.imports[name] for name in _imported(level, source, names, module))


def _statement(node: ast.AST) -> Iterator[list[Any]]:
    if isinstance(node, ast.Import):
        yield [0, None, [alias.name for alias in node.names]]
    elif isinstance(node, ast.ImportFrom):
        yield [node.level, node.module or "", [alias.name for alias in node.names]]


def _imported(level: int, module: str | None, names: list[str], importer: str) -> Iterator[str]:
    """What one statement imports: `import a, b` has no module, `from module import a, b` may name modules or what is in one."""
    if module is None:
        yield from names
        return
    source = importlib.util.resolve_name("." * level + module, _spec(importer).parent)
    yield source
    yield from (found for name in names if _is_module(found := f"{source}.{name}", package=source))


def _is_module(name: str, *, package: str) -> bool:
    is_package = package.startswith(FOLLOWED) and _spec(package).submodule_search_locations is not None
    return is_package and importlib.util.find_spec(name) is not None


def _spec(module: str) -> ModuleSpec:
    spec = importlib.util.find_spec(module)
    if spec is None:
        raise ModuleNotFoundError(f"no source for module {module!r}")
    return spec


@cache
def _source(module: str) -> str:
    return Path(str(_spec(module).origin)).read_text(encoding="utf-8")


@cache
def _module_digest(module: str) -> str:
    return _text_digest(_source(module), suffix=".py")


def _meaning(source: str) -> str:
    return ast.dump(_Meaning().visit(ast.parse(source)))


class _Meaning(ast.NodeTransformer):
    """Takes away the statements that do nothing: docstrings, other bare constants, and `pass`."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        return None if isinstance(node.value, ast.Constant) else node

    def visit_Pass(self, _: ast.Pass) -> None:
        return None


_SQL_TOKEN = re.compile(
    r"""(?P<gap>\s+|--[^\n]*|/\*.*?\*/|\{\#.*?\#\})"""  # nothing: space, comments of SQL and of Jinja
    r"""|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$\$.*?\$\$"""  # quoted text and names, kept as they are
    r"""|[\w.]+|[^\w.\s'"$(),;{/-]+|.""",  # words, numbers, operators, anything else
    re.DOTALL,
)


def _sql_meaning(text: str) -> list[str]:
    return [token[0] for token in _SQL_TOKEN.finditer(text) if token["gap"] is None]
