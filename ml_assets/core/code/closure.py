"""The closure of a function in the project's own code, and the digest of it.

Names are followed from definition to definition. An attribute may be a method of any class that is named on the way, in code or
in an annotation: if one of them has a method of that name, it counts. So a digest may cover more than what runs, and a test that
traces the builders shows that it never covers less.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ml_assets.core.code.module_units import BODY, Imported, Module, Unit, taken_apart
from ml_assets.core.digests import digest_json, sha256

Place = tuple[str, str]
"""A unit: its module, and its name there."""


class UnknownEntry(LookupError):
    """There is no such function to follow."""


@dataclass(frozen=True)
class Closure:
    """The units that were reached; `digest` says what all of them mean, `parts` the same for each module, to tell people."""

    units: frozenset[Place]
    digest: str
    parts: Mapping[str, str]
    libraries: frozenset[str]


@dataclass(frozen=True)
class Code:
    """Source texts by module name, and what was taken apart of them before, by the digest of the text. `read`: the files that
    what is known came from."""

    texts: Mapping[str, bytes]
    exempt: frozenset[str] = frozenset()
    known: dict[str, Module] = field(default_factory=dict)
    read: set[Path] = field(default_factory=set)

    @cached_property
    def packages(self) -> tuple[str, ...]:
        """The top-level packages of the texts."""
        return tuple(sorted({name.split(".")[0] for name in self.texts}))

    @cached_property
    def _modules(self) -> dict[str, Module]:
        return {}

    def module(self, name: str) -> Module:
        """A module's units; each text is parsed once."""
        if name not in self._modules:
            text = self.texts[name]
            digest = sha256(text)
            if digest not in self.known:
                self.known[digest] = taken_apart(text, self.packages)
            self._modules[name] = self.known[digest]
        return self._modules[name]

    def closure(self, *entries: str) -> Closure:
        """All that these functions ("package.module:name") reach."""
        walk = _Walk(self)
        for entry in entries:
            place = (entry.partition(":")[0], entry.partition(":")[2])
            if place[0] not in self.texts or place[1] not in self.module(place[0]).units:
                raise UnknownEntry(f"{entry}: no such function")
            walk.reach(place)
        walk.finish()
        digests = self._settled(walk)
        by_module: dict[str, list[str]] = {}
        for place in walk.reached:
            by_module.setdefault(place[0], []).append(digests[place])
        units = (self.unit(place) for place in walk.reached)
        return Closure(
            units=frozenset(walk.reached),
            digest=digest_json(sorted(digests.values())),
            parts={name: digest_json(sorted(unit_digests))[:12] for name, unit_digests in sorted(by_module.items())},
            libraries=frozenset(name for unit in units for name in unit.libraries),
        )

    def unit(self, place: Place) -> Unit:
        """Return the unit at a place. Raises KeyError for a place that the module does not have."""
        return self.module(place[0]).units[place[1]]

    def _settled(self, walk: "_Walk") -> dict[Place, str]:
        """The digest of each unit by what it says and by what it names, in order, however deep: each round looks one step
        further, until no two units that differ look alike any more."""
        digests = {place: self.unit(place).meaning for place in walk.reached}
        classes = 0
        while classes < (classes := len(set(digests.values()))):
            digests = {
                place: digest_json([self.unit(place).meaning, *(digests[target] for target in targets if target in digests)])
                for place, targets in walk.reached.items()
            }
        return digests

    def resolve(self, module: str, chain: str) -> list[Place]:
        """The units that a dotted name of a module refers to; none for a name of another library."""
        root, *rest = chain.split(".")
        unit_names = self.module(module)
        if root in unit_names.units:
            return [(module, root)]
        return [place for imported in unit_names.imports.get(root, ()) for place in self._imported(module, imported, rest)]

    def _imported(self, module: str, imported: Imported, rest: list[str]) -> Iterator[Place]:
        source = self._absolute(module, imported)
        path = [*([imported.name] if imported.name else []), *rest]
        while path and f"{source}.{path[0]}" in self.texts:
            source, path = f"{source}.{path[0]}", path[1:]
        if path and source in self.texts:
            yield from self.resolve(source, ".".join(path))

    def _absolute(self, module: str, imported: Imported) -> str:
        if not imported.level:
            return imported.module
        is_package = any(name.startswith(f"{module}.") for name in self.texts)
        package = module.split(".")[: None if is_package and imported.level == 1 else (1 if is_package else 0) - imported.level]
        return ".".join([*package, *([imported.module] if imported.module else [])])


@dataclass
class _Walk:
    """`reached`: each unit with those that it names, in order."""

    code: Code
    reached: dict[Place, list[Place]] = field(default_factory=dict)
    classes: set[Place] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)

    def reach(self, place: Place) -> None:
        """A unit, and all that it names."""
        queue = [place]
        while queue:
            current = queue.pop()
            if current in self.reached or self._is_exempt(current):
                continue
            module, unit = current[0], self.code.unit(current)
            self.reached[current] = targets = [p for name in unit.names for p in self.code.resolve(module, name)]
            queue += targets
            if BODY in self.code.module(module).units:
                queue.append((module, BODY))
            self.attributes.update(unit.attributes)
            self._mention(module, unit.mentioned)
            if unit.is_class:
                self._mention_class(current)
                queue += [method for method, method_unit in self._methods(current) if method_unit.is_always]

    def finish(self) -> None:
        """Methods of the classes that were named, by the attributes that were read, until nothing is added."""
        before = -1
        while before < (before := len(self.reached)):
            for place in list(self.classes):
                for method, _ in self._methods(place):
                    if method[1].rpartition(".")[2] in self.attributes:
                        self.reach(method)

    def _methods(self, place: Place) -> list[tuple[Place, Unit]]:
        module, name = place
        units = self.code.module(module).units
        return [((module, unit_name), unit) for unit_name, unit in units.items() if unit_name.startswith(f"{name}.")]

    def _mention(self, module: str, names: Iterable[str]) -> None:
        for name in names:
            for place in self.code.resolve(module, name):
                self._mention_class(place)

    def _mention_class(self, place: Place) -> None:
        """A class whose values may come along: so may those of its fields, its bases, or what an alias refers to."""
        if place in self.classes or self._is_exempt(place):
            return
        self.classes.add(place)
        unit = self.code.unit(place)
        self._mention(place[0], (*unit.mentioned, *unit.names))

    def _is_exempt(self, place: Place) -> bool:
        return f"{place[0]}:{place[1]}" in self.code.exempt
