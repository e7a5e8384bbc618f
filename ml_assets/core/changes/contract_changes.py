"""Which rules of a contract were tightened, loosened, added or removed, by table, column and rule.

A rule is looked at by what it says, not by how it is written. Of a check that is code only its meaning can be compared.
"""

from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

from ml_assets.core.changes.change import Change, Effect
from ml_assets.core.changes.rules import Rule, higher, incomparable, lower, ordered
from ml_assets.core.code.closure import Code
from ml_assets.core.contract.schema import rules_of

RuleValues = dict[str, Any]
"""The rules of a contract, by dotted name of the rule."""
CONFIG = "Config"
"""Where a pandera model declares what is of the whole table; no column can have this name."""
_STRICT = ordered(False, "filter", True)
_BOUNDS: Mapping[str, Mapping[str, Rule]] = {
    "greater_than_or_equal_to": {"min_value": higher},
    "greater_than": {"min_value": higher},
    "less_than_or_equal_to": {"max_value": lower},
    "less_than": {"max_value": lower},
    "in_range": {"min_value": higher, "max_value": lower},
}


def contract_changes(product: str, old: ModuleType, new: ModuleType, *, texts: tuple[bytes, bytes]) -> list[Change]:
    """The rules that differ between two contract modules, which were executed from `texts`."""
    before, after = (_rule_values(module, text) for module, text in zip((old, new), texts, strict=True))
    names = [name for name in dict.fromkeys([*before, *after]) if before.get(name) != after.get(name)]
    return [
        Change(
            product=product,
            name=f"contract.{name}",
            effect=_effect(name, before.get(name), after.get(name)),
            old=before.get(name),
            new=after.get(name),
        )
        for name in names
        if not _is_inside(name, before, after)
    ]


def _is_inside(name: str, before: RuleValues, after: RuleValues) -> bool:
    """Whether the rule is of a column or a table that is there on one side alone, which is named itself."""
    above = [".".join(name.split(".")[:n]) for n in range(1, name.count(".") + 1)]
    return any((parent in before) != (parent in after) for parent in above)


def _rule_values(module: ModuleType, text: bytes) -> RuleValues:
    code = Code({"contract": text})
    models = {**module.TABLES, "Request": module.Request, "Features": module.Features}
    return {key: value for name, model in models.items() for key, value in _table(name, model, code)}


def _table(table: str, model: Any, code: Code) -> Iterator[tuple[str, Any]]:
    rules, schema = rules_of(model), model.to_schema()
    yield table, "declared"
    yield f"{table}.{CONFIG}", "declared"
    yield f"{table}.{CONFIG}.min_rows", rules.min_rows
    yield f"{table}.{CONFIG}.max_quarantined", rules.max_quarantined
    yield f"{table}.{CONFIG}.strict", schema.strict
    for reason, columns in rules.keys.items():
        yield f"{table}.{CONFIG}.{reason}", sorted(columns)
    for name, column in schema.columns.items():
        at = f"{table}.{name}"
        yield at, str(rules.dtypes[name])
        yield f"{at}.nullable", column.nullable
        yield f"{at}.max_missing", rules.max_missing.get(name, 1.0)
        yield f"{at}.known", "after" if name in rules.known_after else "request"
        yield from ((f"{at}.{check.name}", _statistics(check, model, code)) for check in column.checks)
    yield from ((f"{table}.{check.name}", _statistics(check, model, code)) for check in schema.checks)


def _statistics(check: Any, model: Any, code: Code) -> Any:
    """The limits of one of pandera's own checks; of a method what it and all that it names mean."""
    if check.statistics:
        return {name: _plain(value) for name, value in check.statistics.items()}
    for base in model.__mro__:
        if f"{base.__name__}.{check.name}" in code.module("contract").units:
            return code.closure(f"contract:{base.__name__}.{check.name}").digest[:12]
    return None


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple | set | frozenset):
        return sorted(map(_plain, value), key=str)
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _effect(name: str, old: Any, new: Any) -> Effect:
    table, *rest = name.split(".")
    rule = rest[-1] if rest else ""
    if table in ("Request", "Features") and len(rest) < 2:
        return "changed"  # what is asked with and what the model sees: the comparison of the models shows what it does
    if old is None or new is None:
        return "strengthened" if old is None else "weakened"
    rules: dict[str, Rule] = {
        "min_rows": higher,
        "max_quarantined": lower,
        "max_missing": lower,
        "nullable": ordered(True, False),
        "strict": _STRICT,
        "isin": _fewer_values,
        "unique_key": _fewer_columns,
    }
    return rules.get(rule, _bounds(rule))(old, new)


def _fewer_values(old: Any, new: Any) -> Effect:
    return "strengthened" if set(new["allowed_values"]) < set(old["allowed_values"]) else "weakened"


def _fewer_columns(old: Any, new: Any) -> Effect:
    """Rows that differ in fewer columns differ in more."""
    return "strengthened" if set(new) < set(old) else "weakened"


def _bounds(check: str) -> Rule:
    """Every limit that differs has to be stricter."""
    limits = _BOUNDS.get(check, {})

    def rule(old: Any, new: Any) -> Effect:
        if not isinstance(old, dict) or not isinstance(new, dict):
            return "weakened"
        names = [name for name in {*old, *new} if old.get(name) != new.get(name)]
        effects = {_limit(limits.get(name, incomparable), old.get(name), new.get(name)) for name in names}
        return "strengthened" if effects == {"strengthened"} else "weakened"

    return rule


def _limit(rule: Rule, old: Any, new: Any) -> Effect:
    """A limit that is not there, or of another type than it was, is compared with nothing."""
    try:
        return rule(old, new)
    except TypeError:
        return "weakened"
