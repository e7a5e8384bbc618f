"""A module taken apart into units: its functions, classes, methods and values, and what each of them names.

What is found depends on the module's text alone, so that it can be kept under the text's digest.
"""

import ast
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from ml_assets.core.code.equal_meaning import in_order, says
from ml_assets.core.digests import sha256

BODY = "(body)"
"""The unit of what a module does when it is imported, apart from definitions."""
_PLAIN = frozenset({"property", "cached_property", "staticmethod", "classmethod", "contextmanager", "cache", "wraps"})
_VALUES = frozenset({"dataclass", "NamedTuple", "Protocol", "TypedDict"})
"""Classes whose fields are only described by their types; those of others, a pydantic model say, decide what is taken."""
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Unit(msgspec.Struct, frozen=True):
    """One definition: the digest of what it says, and what it names.

    `names`: what it computes with, in order, as dotted chains ("fit", "curves.draw"); `mentioned`: names in its annotations;
    `attributes`: every attribute that it reads; `libraries`: top-level packages of others. `is_always`: Python or a library
    calls this method by itself.
    """

    meaning: str
    names: tuple[str, ...] = ()
    mentioned: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    is_class: bool = False
    is_always: bool = False


class Imported(msgspec.Struct, frozen=True):
    """`from module import name` or, without a name, `import module`; `level` counts leading dots."""

    module: str
    name: str = ""
    level: int = 0


class Module(msgspec.Struct, frozen=True):
    """The units of a module by name (a method as "Class.method"), and what its names were imported as."""

    units: dict[str, Unit]
    imports: dict[str, tuple[Imported, ...]]


def taken_apart(text: bytes, packages: Sequence[str]) -> Module:
    """The units of a module's text. `packages` are the top-level packages of the project."""
    tree = ast.parse(text)
    imports: dict[str, tuple[Imported, ...]] = {}
    for node in ast.walk(tree):
        for name, imported in _imports(node):
            imports[name] = tuple(dict.fromkeys((*imports.get(name, ()), imported)))
    return Module(_Parts(tree, imports, packages).units(), imports)


def _imports(node: ast.AST) -> Iterator[tuple[str, Imported]]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            whole = alias.name if alias.asname else alias.name.split(".")[0]
            yield alias.asname or whole, Imported(whole)
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            yield alias.asname or alias.name, Imported(node.module or "", alias.name, node.level)


class _Parts:
    """The names that a module's text binds, and its units."""

    def __init__(self, tree: ast.Module, imports: dict[str, tuple[Imported, ...]], packages: Sequence[str]) -> None:
        self.tree = tree
        own = {name for name, (first, *_) in imports.items() if first.level or first.module.split(".")[0] in packages}
        self.own = frozenset(own) | {name for node in tree.body for name in _defines(node)}
        self.foreign = {n: f"{e.module}.{e.name}".strip(".") for n, (e, *_) in imports.items() if n not in self.own}

    def units(self) -> dict[str, Unit]:
        """The units by name; what is none of them is one unit, of the module itself."""
        units: dict[str, Unit] = {}
        rest: list[ast.stmt] = []
        for node in self.tree.body:
            if isinstance(node, ast.ClassDef):
                units |= self._class(node)
            elif isinstance(node, Function):
                name, node.name = node.name, ""
                units[name] = self._unit([node])
            elif names := list(_defines(node)):
                units |= dict.fromkeys(names, self._unit([node]))
            elif not (isinstance(node, ast.Import | ast.ImportFrom | ast.Expr) and not _is_call(node)) and not _is_for_types(
                node
            ):
                rest.append(node)
        return units | ({BODY: self._unit(rest)} if rest else {})

    def _class(self, node: ast.ClassDef) -> dict[str, Unit]:
        """The class without its methods, and each method."""
        methods = [part for part in node.body if isinstance(part, Function)]
        types = [part.annotation for part in node.body if isinstance(part, ast.AnnAssign)]
        marks = {_last(mark) for mark in (*node.bases, *node.decorator_list)}
        node.body = [part for part in node.body if part not in methods]
        name, node.name = node.name, ""
        deciding: list[ast.expr] = [] if marks & _VALUES else types
        units = {name: self._unit([node], mentioned=types, deciding=deciding, is_class=True)}
        return units | {f"{name}.{method.name}": self._unit([method], is_always=_is_always(method)) for method in methods}

    def _unit(
        self,
        nodes: Sequence[ast.stmt],
        *,
        mentioned: Sequence[ast.expr] = (),
        deciding: Iterable[ast.expr] = (),
        is_class: bool = False,
        is_always: bool = False,
    ) -> Unit:
        hidden = _hidden(nodes)
        own = self.own - hidden
        foreign = {name: what for name, what in self.foreign.items() if name not in hidden}
        typed = [*mentioned, *(annotation for node in nodes for part in ast.walk(node) for annotation in _annotations(part))]
        skipped = {id(part) for annotation in typed for part in ast.walk(annotation)}
        used = [part for node in nodes for part in in_order(node) if id(part) not in skipped]
        chains = [name for part in used for name in _chain(part)] + [
            name for annotation in deciding for name in _named(annotation)
        ]
        libraries = {foreign[root].split(".")[0] for name in chains if (root := name.split(".")[0]) in foreign}
        return Unit(
            meaning=sha256("\n".join(says(node, own=own, foreign=foreign) for node in nodes).encode()),
            names=tuple(name for name in chains if name.split(".")[0] in own),
            mentioned=tuple(dict.fromkeys(n for annotation in typed for n in _named(annotation) if n.split(".")[0] in self.own)),
            attributes=tuple(sorted({part.attr for part in used if isinstance(part, ast.Attribute)})),
            libraries=tuple(sorted(libraries)),
            is_class=is_class,
            is_always=is_always,
        )


def _hidden(nodes: Iterable[ast.stmt]) -> frozenset[str]:
    """Names that a function binds itself, which hide those of the module."""
    parts = [part for node in nodes if isinstance(node, Function) for part in ast.walk(node)]
    names = {part.arg for part in parts if isinstance(part, ast.arg)}
    return frozenset(names | {part.id for part in parts if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)})


def _defines(node: ast.stmt) -> Iterator[str]:
    """The names that a statement at the top of a module defines."""
    if isinstance(node, ast.ClassDef | Function):
        yield node.name
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            parts = target.elts if isinstance(target, ast.Tuple) else [target]
            yield from (part.id for part in parts if isinstance(part, ast.Name))


def _is_call(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant)


def _is_for_types(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _is_always(method: Function) -> bool:
    """Dunder methods, and those with a decorator by which others may call them (pydantic's validators)."""
    marks = {_last(decorator) for decorator in method.decorator_list}
    return method.name.startswith("__") or method.name == "model_post_init" or bool(marks - _PLAIN)


def _last(node: ast.expr) -> str:
    """The last name of a base class or decorator: `functools.cache` is "cache"."""
    node = node.func if isinstance(node, ast.Call) else node
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _annotations(node: ast.AST) -> Iterator[ast.expr]:
    """Annotations that change nothing of what is computed; those of a class's fields are given apart."""
    if isinstance(node, Function) and node.returns:
        yield node.returns
    if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation:
        yield node.annotation


def _named(annotation: ast.expr) -> Iterator[str]:
    """Every dotted name in an annotation, and in the parts of it that are written as text."""
    for part in in_order(annotation):
        yield from _chain(part)
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            try:
                quoted = ast.parse(part.value, mode="eval").body
            except SyntaxError:
                continue  # the value of a Literal
            yield from _named(quoted)


def _chain(node: ast.AST) -> Iterator[str]:
    """The dotted name that a node is: "a.b.c" of an attribute of an attribute of a name."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        yield ".".join([node.id, *reversed(parts)])
