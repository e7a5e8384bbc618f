"""The reasons why a result differs from the recorded one: other declarations, and other rows. Pure."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from ml_assets.core.digests import canonical_json
from ml_assets.core.lineage.manifests import Recipe

Kind = Literal["row order", "library", "thread count", "seed", "data", "code", "configuration", "not deterministic"]
_OWN = {"model.threads", "model.seed"}


@dataclass(frozen=True)
class Difference:
    """One input that differs, as a kind for machines and in words."""

    kind: Kind
    message: str

    def to_dict(self) -> dict[str, str]:
        """Return the cause as JSON values; its message is called `told` there, as in what is recorded."""
        return {"kind": self.kind, "told": self.message}


def declared(then: Recipe, now: Recipe) -> list[Difference]:
    """The differences between two recipes; inputs count by content."""
    return [*_data(then, now), *_fitting(then, now), *_environment(then, now), *_code(then, now), *_config(then, now)]


def row_order(member: str, then: pl.DataFrame, now: pl.DataFrame) -> Difference | None:
    """The cause if a table has exactly the same rows (each as often) in another order."""
    if then.schema != now.schema or then.height != now.height or then.equals(now):
        return None
    columns = then.columns
    if not then.sort(columns, nulls_last=True).equals(now.sort(columns, nulls_last=True)):
        return None
    return Difference("row order", f"{member} has the same {then.height} rows in another order")


def changed_rows(member: str, then: pl.DataFrame, now: pl.DataFrame) -> str | None:
    """The difference between two tables, in words; None if there is none, or only in the order of rows."""
    if then.schema != now.schema:
        return f"{member} has other columns: {', '.join(sorted(dict(set(then.schema.items()) ^ set(now.schema.items()))))}"
    if then.height != now.height:
        return f"{member} has {now.height} rows, recorded were {then.height}"
    if then.equals(now) or row_order(member, then, now):
        return None
    columns = [name for name in then.columns if not then[name].equals(now[name], null_equal=True)]
    return f"{member} has other values in {', '.join(columns)}"


def _data(then: Recipe, now: Recipe) -> Iterator[Difference]:
    old, new = ({(i.asset, i.partition): i.data_version for i in recipe.inputs} for recipe in (then, now))
    for asset, partition in sorted({*old, *new}):
        before, after = old.get((asset, partition)), new.get((asset, partition))
        if before != after:
            yield Difference("data", f"{asset} {partition} {_short(before)} -> {_short(after)}")


def _fitting(then: Recipe, now: Recipe) -> Iterator[Difference]:
    if then.threads != now.threads:
        yield Difference("thread count", f"threads {then.threads} -> {now.threads}")
    if then.seed != now.seed:
        yield Difference("seed", f"seed {then.seed} -> {now.seed}")


def _environment(then: Recipe, now: Recipe) -> Iterator[Difference]:
    changes = list(_between(then, now, "environment"))
    yield from (Difference("library", f"{name} {shown(old)} -> {shown(new)}") for name, old, new in changes)
    if then.environment != now.environment and not changes:
        yield Difference("library", "another environment, whose versions were not recorded")


def _code(then: Recipe, now: Recipe) -> Iterator[Difference]:
    if then.code != now.code:
        parts = [name for name, _, _ in _between(then, now, "code")]
        yield Difference("code", f"code of {now.stage}: {', '.join(parts) or 'which part was not recorded'}")


def _config(then: Recipe, now: Recipe) -> Iterator[Difference]:
    others = [f"{path} {shown(old)} -> {shown(new)}" for path, old, new in _between(then, now, "config") if path not in _OWN]
    if others:
        yield Difference("configuration", f"product.yaml: {'; '.join(others)}")


def _between(then: Recipe, now: Recipe, detail: str) -> Iterator[tuple[str, Any, Any]]:
    """The differences in one detail; none where the detail was not recorded then."""
    if detail in then.details:
        yield from differences(then.details[detail], now.details.get(detail, {}))


def differences(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The differences between two nested JSON values: dotted path, old and new value. Lists of mappings with names, such as
    claims, are compared by name."""
    if (named := _by_name(old, new)) is not None:
        old, new = named
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in sorted({*old, *new}):
            # names may hold dots themselves: a module, a file
            yield from differences(old.get(name), new.get(name), f"{path}.{name}" if path else name)
    elif canonical_json(old) != canonical_json(new):
        yield path, old, new


def _by_name(old: Any, new: Any) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
    """Two lists of mappings by the names in them; None where they are something else, or a name is there twice."""
    sides = []
    for value in (old, new):
        if not isinstance(value, list) or not all(isinstance(part, Mapping) and "name" in part for part in value):
            return None
        sides.append({str(part["name"]): part for part in value})
        if len(sides[-1]) < len(value):
            return None
    return (sides[0], sides[1]) if any(sides) else None


def shown(value: Any) -> str:
    """A value as a reader of product.yaml knows it, in full: of a mapping what it declares."""
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {shown(part)}" for name, part in value.items() if part not in (None, [], {}))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=list)


def _short(digest: str | None) -> str:
    return digest[:12] if digest else "nothing"
