"""Stages that a change makes stale, by content: a stage whose code, files, configuration or libraries differ, and all that reads
it."""

import ast
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from ml_assets.core.changes.commit_side import Side
from ml_assets.core.changes.locked_libraries import ITSELF
from ml_assets.core.lineage.stages import STAGES, Stage, declared_reads, entry_points, file_parts, stage_config
from ml_assets.spec.product import Product

DECLARING = "ml_assets.core.lineage.stages"


class StaleStage(msgspec.Struct, frozen=True, kw_only=True):
    """A stage of a product that is made again, and the root causes in words. `partitions`: how many of production's are;
    `seconds`: what that is estimated to take by recorded times, in CPU seconds. None where nothing is recorded."""

    product: str
    stage: str
    causes: tuple[str, ...]
    partitions: int | None = None
    seconds: float | None = None


def stale_stages(base: Side, head: Side, name: str) -> list[StaleStage]:
    """The stages of a product that both sides have, in path order."""
    stages: dict[str, StaleStage] = {}
    redeclared = _redeclared(base, head)
    for stage in STAGES.values():
        if stage.name == "reference" and not head.products[name].delivery.reference:
            continue
        causes = [f"code: {DECLARING}"] if stage.name in redeclared else []
        causes += _own_causes(base, head, name, stage)
        reads = {read.stage: None for read in declared_reads(head.products[name], stage.name)}
        causes += [f"reads {read}" for read in reads if read in stages]
        if causes:
            stages[stage.name] = StaleStage(product=name, stage=stage.name, causes=tuple(causes))
    return list(stages.values())


def changed_code(base: Side, head: Side, *entries: str) -> list[str]:
    """The modules that mean something else of what these functions reach; empty if the code computes the same."""
    before, after = base.closure(*entries), head.closure(*entries)
    if before is not None and after is not None and before.digest == after.digest:
        return []
    return _differing(before.parts if before else {}, after.parts if after else {}) or ["their order"]


def changed_packages(base: Side, head: Side, *packages: str) -> list[str]:
    """The modules of these packages that hold a definition that the other side has nowhere in them."""
    meanings = [{name: side.meanings(name) for name in side.modules(*packages)} for side in (base, head)]
    before, after = ({meaning for units in modules.values() for meaning in units} for modules in meanings)
    added = {name for name, units in meanings[1].items() if units - before}
    gone = {name for name, units in meanings[0].items() if units - after}
    return sorted(added | gone)


def changed_files(base: Side, head: Side, name: str, stage: Stage) -> list[str]:
    """The product's files that decide a stage and say something else, by name."""
    sides = ((base, base.products[name]), (head, head.products[name]))
    return _differing(*(file_parts(product, stage, shared=side.shared_dbt) for side, product in sides))


def _own_causes(base: Side, head: Side, name: str, stage: Stage) -> Iterator[str]:
    yield from (f"code: {module}" for module in changed_code(base, head, *entry_points(head.products[name], stage)))
    yield from (f"file: {file}" for file in changed_files(base, head, name, stage))
    yield from (f"product.yaml: {key}" for key in _changed_keys(base.products[name], head.products[name], stage))
    for package in (*stage.packages, ITSELF):
        was, now = base.libraries.get(package), head.libraries.get(package)
        if was != now:
            yield f"library: {package} {was or 'not locked'} -> {now or 'not locked'}"


def _redeclared(base: Side, head: Side) -> set[str]:
    """The stages of which the code of the two sides declares something else: other builders, say, than this process knows."""
    if base.code.texts.get(DECLARING) == head.code.texts.get(DECLARING):
        return set()
    return {*_differing(_declared(base), _declared(head))}


def _declared(side: Side) -> dict[str, list[str]]:
    """The declaration of each stage in a side's code: the call with what the names in it mean."""
    if DECLARING not in side.code.texts:
        return {}
    units = side.code.module(DECLARING).units
    calls = {}
    for call in ast.walk(ast.parse(side.code.texts[DECLARING])):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Stage":
            arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
            names = {part.id for argument in arguments for part in ast.walk(argument) if isinstance(part, ast.Name)}
            calls[ast.literal_eval(call.args[0])] = [ast.dump(call), *(units[n].meaning for n in sorted(names & units.keys()))]
    return calls


def _changed_keys(old: Product, new: Product, stage: Stage) -> list[str]:
    return _differing(*(_flat(stage_config(product, stage)) for product in (old, new)))


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {path: value}
    return {k: v for name, part in value.items() for k, v in _flat(part, f"{path}.{name}" if path else str(name)).items()}


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return [name for name in sorted({*old, *new}) if old.get(name) != new.get(name) or (name in old) != (name in new)]
