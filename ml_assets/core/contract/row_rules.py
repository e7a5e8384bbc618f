"""Rules across the columns of a row (`@pa.dataframe_check(scope="rows")`) as plain values, which an endpoint holds requests to.

A rule is the polars expression that the check selects, taken apart into a small tree: the endpoint runs no code of contract.py.
What the tree cannot say is refused by name when the product is loaded. Missing values are as in polars, and a rule whose result
is missing is kept.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from ml_assets.core.contract.schema import ContractError, Model, polars_schema, rules_of
from ml_assets.spec.derived_parts import FOLLOWS

Tree = list[Any]
"""An operation and what it takes, which may be trees: ["<=", ["field", "a"], ["value", 5]]."""
_SIGNS = {
    "Lt": "<",
    "LtEq": "<=",
    "Gt": ">",
    "GtEq": ">=",
    "Eq": "==",
    "NotEq": "!=",
    "Plus": "+",
    "Minus": "-",
    "Multiply": "*",
    "TrueDivide": "/",
    "And": "and",
    "Or": "or",
    "LogicalAnd": "and",
    "LogicalOr": "or",
}
_FUNCTIONS = {
    "Not": "not",
    "IsNull": "is_null",
    "IsNotNull": "is_not_null",
    "Abs": "abs",
    "Negate": "negate",
    "FillNull": "coalesce",
    "Coalesce": "coalesce",
    "AllHorizontal": "and",
    "AnyHorizontal": "or",
}
_BETWEEN = {"Both": ("<=", "<="), "Left": ("<=", "<"), "Right": ("<", "<="), "None": ("<", "<")}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ALLOWED = "columns, values, <, <=, ==, !=, +, -, *, / by a number, &, |, ~, is_null, is_in, is_between, abs, fill_null, when"


@dataclass(frozen=True)
class RowRule:
    """One rule: its name, what it says in words, and as a tree."""

    name: str
    text: str
    test: Tree
    field: str = ""
    """The only field that it is about, if there is one."""

    @property
    def entry(self) -> dict[str, Any]:
        """The rule as the bundle has it."""
        return {"name": self.name, "text": self.text, "test": self.test, "field": self.field}


class _Recorded(Exception):
    """The expressions that a check selects, or names of columns."""

    def __init__(self, expressions: Sequence[Any]) -> None:
        super().__init__()
        self.expressions = expressions


class _Rows:
    """The rows that a check is given to find out what it selects of them."""

    def select(self, *expressions: Any, **named: Any) -> None:
        """End the check: its expressions are all that is wanted of it. Raises _Recorded."""
        listed = [item for given in expressions for item in (given if isinstance(given, list | tuple) else [given])]
        raise _Recorded([*listed, *named.values()])


@dataclass(frozen=True)
class _Given:
    """Stands for pandera's data of a check."""

    lazyframe: _Rows
    key: str = "*"


def row_rules(model: Model) -> list[RowRule]:
    """The rules across columns that a request of this model is held to. Raises ContractError for one that cannot be; of a model
    that follows from its table it is left out, as limits of single columns are."""
    rules_of(model)
    checks = model.to_schema().checks
    if hasattr(model, FOLLOWS):
        return [rule for check in checks if (rule := _rule_or_none(check, model)) is not None]
    return [_rule(check, model) for check in checks]


def field_rules(fields: Sequence[Mapping[str, Any]]) -> list[RowRule]:
    """The limits of single fields that JSON has no type for: of times, and lists of numbers and booleans. `fields` are those of a
    request, as request_fields describes them."""
    return [
        RowRule(f"{field['name']}.{limit}", as_text(test), test, field["name"])
        for field in fields
        for limit, test in _tests(field)
    ]


def without_field_rules(field: Mapping[str, Any]) -> dict[str, Any]:
    """A field of a request without the limits that are rules."""
    return {**field, **{limit: None for limit, _ in _tests(field)}}


def _tests(field: Mapping[str, Any]) -> Iterator[tuple[str, Tree]]:
    value = ["field", field["name"]]
    if field["type"] == "timestamp":
        for limit, sign in (("ge", ">="), ("le", "<=")):
            if field[limit] is not None:
                moment = datetime.fromisoformat(field[limit]).replace(tzinfo=UTC)
                yield limit, [sign, value, ["moment", (moment - _EPOCH) // timedelta(microseconds=1)]]
    if field["type"] in ("number", "boolean") and field["isin"] is not None:
        yield "isin", ["is_in", value, field["isin"]]


def _rule_or_none(check: Any, model: Model) -> RowRule | None:
    try:
        return _rule(check, model)
    except ContractError:
        return None


def _rule(check: Any, model: Model) -> RowRule:
    where = f"{model.__name__}.{check.name}"
    if rules_of(model).scopes[check.name] != "rows":
        raise ContractError(
            f'{where}: a request is held to rules about its own row; write scope="rows", or leave it to the table'
        )
    trees = [_tree(json.loads(e.meta.serialize(format="json")), where) for e in _selected(check, where, polars_schema(model))]
    return RowRule(check.name, " and ".join(map(as_text, trees)), trees[0] if len(trees) == 1 else ["and", *trees])


def _selected(check: Any, where: str, columns: Mapping[str, Any]) -> list[pl.Expr]:
    try:
        check._check_fn(_Given(_Rows()))
    except _Recorded as recorded:
        expressions = [pl.col(item) if isinstance(item, str) else item for item in recorded.expressions]
    except Exception as error:
        raise ContractError(f"{where}: {_cure(f'it cannot be taken apart ({type(error).__name__}: {error})')}") from error
    else:
        raise ContractError(f"{where}: {_cure('it selects nothing')}")
    if not expressions or not all(isinstance(item, pl.Expr) for item in expressions):
        raise ContractError(f"{where}: {_cure('it selects no expression')}")
    for name in (name for expression in expressions for name in expression.meta.root_names()):
        if name not in columns:
            raise ContractError(f"{where}: reads '{name}', which is not a column of the model; allowed: {', '.join(columns)}")
    return expressions


def _cure(why: str) -> str:
    return f"the endpoint cannot hold a request to this rule: {why}; write `return data.lazyframe.select(…)` with {_ALLOWED}"


def _tree(node: Any, where: str) -> Tree:
    kind: str
    content: Any
    kind, content = next(iter(node.items())) if isinstance(node, dict) and len(node) == 1 else (str(node), None)
    if kind == "Column":
        return ["field", content]
    if kind == "Alias":
        return _tree(content[0], where)
    if kind == "Literal":
        return _literal(content, where)
    if kind == "Ternary":
        return ["if", *(_tree(content[part], where) for part in ("predicate", "truthy", "falsy"))]
    if kind == "BinaryExpr" and content["op"] in _SIGNS:
        sides = [_tree(content[side], where) for side in ("left", "right")]
        if content["op"] == "TrueDivide" and not (sides[1][0] == "value" and sides[1][1]):
            raise ContractError(f"{where}: {_cure('it divides by what may be 0; multiply instead')}")
        return [_SIGNS[content["op"]], *sides]
    if kind == "Function":
        return _function(content, where)
    used = content["op"] if kind == "BinaryExpr" else kind
    raise ContractError(f"{where}: {_cure(f'it uses {used}')}")


def _function(content: Any, where: str) -> Tree:
    function = content["function"]
    name = function["Boolean"] if isinstance(function, dict) and "Boolean" in function else function
    arguments = content["input"]
    if isinstance(name, str) and name in _FUNCTIONS:
        return [_FUNCTIONS[name], *(_tree(argument, where) for argument in arguments)]
    if isinstance(name, dict) and "IsIn" in name and "Literal" in arguments[1]:
        return ["is_in", _tree(arguments[0], where), _values(arguments[1])]
    if isinstance(name, dict) and "IsBetween" in name:
        value, least, most = (_tree(argument, where) for argument in arguments)
        lower, upper = _BETWEEN[name["IsBetween"]["closed"]]
        return ["and", [lower, least, value], [upper, value, most]]
    used = name if isinstance(name, str) else next(iter(name))
    raise ContractError(f"{where}: {_cure(f'it uses {used}')}")


def _values(literal: Any) -> list[Any]:
    """The values of a list, as polars reads it back."""
    import io

    listed = pl.select(pl.Expr.deserialize(io.BytesIO(json.dumps(literal).encode()), format="json")).item()
    return list(listed)


def _literal(content: Any, where: str) -> Tree:
    form, value = next(iter(content.items()))
    if form == "Dyn":
        return ["value", next(iter(value.values()))]
    if form == "Scalar" and value == "Null":
        return ["value", None]
    if form == "Scalar":
        kind, constant = next(iter(value.items()))
        if kind in ("String", "StringOwned", "Boolean", "Null") or kind.startswith(("Int", "UInt", "Float")):
            return ["value", constant]
        if kind.startswith("Datetime") and constant[2] is None:
            return ["moment", _microseconds(constant)]
        if kind.startswith("Duration"):
            return ["span", _microseconds(constant)]
    raise ContractError(f"{where}: {_cure('it compares with a value of another kind than text, numbers, booleans and times')}")


def _microseconds(constant: Sequence[Any]) -> int:
    factors: Mapping[str, Callable[[int], int]] = {
        "Nanoseconds": lambda count: count // 1000,
        "Microseconds": lambda count: count,
        "Milliseconds": lambda count: count * 1000,
    }
    return factors[constant[1]](constant[0])


def as_text(tree: Tree) -> str:
    """A rule in words that its author knows again."""
    operation, *parts = tree
    if operation == "field":
        return str(parts[0])
    if operation == "value":
        return json.dumps(parts[0], ensure_ascii=False)
    if operation == "moment":
        return str(datetime.fromtimestamp(parts[0] / 1e6, UTC).replace(tzinfo=None).isoformat())
    if operation == "span":
        return f"{parts[0] / 1e6:g} s"
    if operation == "is_in":
        return f"{as_text(parts[0])} is one of {json.dumps(parts[1], ensure_ascii=False)}"
    if operation in ("is_null", "is_not_null"):
        return f"{as_text(parts[0])} {'is missing' if operation == 'is_null' else 'is there'}"
    if operation == "if":
        return f"({as_text(parts[1])} if {as_text(parts[0])} else {as_text(parts[2])})"
    if operation in ("not", "abs", "negate", "coalesce"):
        return f"{operation}({', '.join(map(as_text, parts))})"
    joined = f" {operation} ".join(
        as_text(part) if part[0] in ("field", "value", "moment", "span") else _inner(part) for part in parts
    )
    return joined


def _inner(tree: Tree) -> str:
    text = as_text(tree)
    return text if tree[0] in ("not", "abs", "negate", "coalesce", "if") else f"({text})"


def keeps(model: Model, rows: pl.DataFrame) -> pl.Series:
    """Whether each row (rows,) keeps the rules across columns of a model, as its own checks say."""
    kept = pl.repeat(True, rows.height, eager=True)
    for check in model.to_schema().checks:
        from pandera.api.polars.types import PolarsData

        judged = check._check_fn(PolarsData(rows.lazy(), "*")).collect()
        kept = kept & judged.select(pl.all_horizontal(pl.all().fill_null(True))).to_series()
    return kept
