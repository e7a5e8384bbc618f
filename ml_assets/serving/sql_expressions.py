"""SQL expressions as terms: those whose result is known to be DuckDB's to the last bit. The rest is Unsupported."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from ml_assets.serving.sql_code import Code, Kind, Term, Unsupported, same_kind

Resolve = Callable[[str, str], Term]
"""The term of a column name and its table's alias ("" without one)."""
Rule = Callable[[Any, Code, Resolve], Term]


def only(node: Any, *allowed: str) -> None:
    """Refuse a node that says more than what is looked at."""
    more = [name for name, value in node.args.items() if value and name not in allowed]
    if more:
        raise Unsupported(f"{node.key}: {', '.join(more)}")


def term(node: Any, code: Code, resolve: Resolve) -> Term:
    """The value of the expression."""
    rule = _rules().get(node.key)
    if rule is None:
        raise Unsupported(f"{node.key} in {node.sql('duckdb')}")
    return rule(node, code, resolve)


@cache
def _rules() -> Mapping[str, Rule]:
    from ml_assets.serving import sql_numbers, sql_times

    own: dict[str, Rule] = {
        "column": _column, "paren": _paren, "literal": _literal, "boolean": _boolean, "coalesce": _coalesce, "case": _case,
        "nullif": _nullif, "is": _is, "not": _not, "and": _and, "or": _or, "in": _in, "between": _between, "dpipe": _dpipe,
        "substring": _substring, "cast": _cast,
    }  # fmt: skip
    return own | dict.fromkeys(_COMPARED, _compare) | sql_numbers.RULES | sql_times.RULES


def _column(node: Any, code: Code, resolve: Resolve) -> Term:
    only(node, "this", "table")
    return resolve(node.name.lower(), node.table.lower())


def _paren(node: Any, code: Code, resolve: Resolve) -> Term:
    return term(node.this, code, resolve)


def _literal(node: Any, code: Code, resolve: Resolve) -> Term:
    if node.is_string:
        return Term(code.value(node.this), "string", False, node.this)
    if not node.this.isdigit() or int(node.this) >= 2**31:
        raise Unsupported(f"the number {node.this}: neither INTEGER nor next to a DOUBLE")
    return Term(code.value(int(node.this)), "small", False, int(node.this))


def _boolean(node: Any, code: Code, resolve: Resolve) -> Term:
    return Term(code.value(bool(node.this)), "boolean", False, bool(node.this))


def _coalesce(node: Any, code: Code, resolve: Resolve) -> Term:
    terms = [term(each, code, resolve) for each in (node.this, *node.expressions)]
    kind, result = same_kind(terms), terms[-1].code
    for each in reversed(terms[:-1]):
        result = code.let(f"{each.code} if {each.code} is not None else {result}")
    return Term(result, kind, all(each.nullable for each in terms))


def _case(node: Any, code: Code, resolve: Resolve) -> Term:
    only(node, "ifs", "default")
    tests = [_of_kind(term(each.this, code, resolve), "boolean") for each in node.args["ifs"]]
    default = node.args.get("default")
    results = [term(each.args["true"], code, resolve) for each in node.args["ifs"]]
    otherwise = [term(default, code, resolve)] if default is not None else []
    result, kind = otherwise[0].code if otherwise else "None", same_kind([*results, *otherwise])
    for test, each in zip(reversed(tests), reversed(results), strict=True):
        result = code.let(f"{each.code} if {test.code} else {result}")
    return Term(result, kind, not otherwise or any(each.nullable for each in (*results, *otherwise)))


def _nullif(node: Any, code: Code, resolve: Resolve) -> Term:
    left = term(node.this, code, resolve)
    equal = _compared("eq", left, term(node.expression, code, resolve), code)
    return Term(code.let(f"None if {equal.code} else {left.code}"), left.kind, True)


def _is(node: Any, code: Code, resolve: Resolve) -> Term:
    from sqlglot import exp

    if not isinstance(node.expression, exp.Null):
        raise Unsupported(node.sql("duckdb"))
    return Term(code.let(f"{term(node.this, code, resolve).code} is None"), "boolean", False)


def _not(node: Any, code: Code, resolve: Resolve) -> Term:
    inner = _of_kind(term(node.this, code, resolve), "boolean")
    return code.strict("boolean", f"not {inner.code}", [inner])


def _and(node: Any, code: Code, resolve: Resolve) -> Term:
    return _both(node, code, resolve, decides="False")


def _or(node: Any, code: Code, resolve: Resolve) -> Term:
    return _both(node, code, resolve, decides="True")


def _both(node: Any, code: Code, resolve: Resolve, *, decides: str) -> Term:
    sides = [_of_kind(term(side, code, resolve), "boolean") for side in (node.this, node.expression)]
    a, b = (side.code for side in sides)
    other = "True" if decides == "False" else "False"
    unknown = f"None if {a} is None or {b} is None else {other}"
    return Term(code.let(f"{decides} if {a} is {decides} or {b} is {decides} else {unknown}"), "boolean", True)


_COMPARED = {"eq": "==", "neq": "!=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


def _compare(node: Any, code: Code, resolve: Resolve) -> Term:
    return _compared(node.key, term(node.this, code, resolve), term(node.expression, code, resolve), code)


def _compared(operator: str, left: Term, right: Term, code: Code) -> Term:
    if same_kind([left, right]) == "number":
        for side in (left, right):  # DuckDB orders NaN, Python does not
            code.sure_if(f"{side.code} is None or {side.code} == {side.code}")
    return code.strict("boolean", f"{left.code} {_COMPARED[operator]} {right.code}", [left, right])


def _in(node: Any, code: Code, resolve: Resolve) -> Term:
    only(node, "this", "expressions")
    left, options = term(node.this, code, resolve), [term(each, code, resolve) for each in node.expressions]
    if any(option.literal is None for option in options) or same_kind([left, *options]) not in ("string", "integer", "small"):
        raise Unsupported(node.sql("duckdb"))
    allowed = code.value(frozenset(option.literal for option in options))
    return code.strict("boolean", f"{left.code} in {allowed}", [left])


def _between(node: Any, code: Code, resolve: Resolve) -> Term:
    only(node, "this", "low", "high")
    value, low, high = (term(node.args[name], code, resolve) for name in ("this", "low", "high"))
    if not all(side.literal is not None for side in (low, high)):
        raise Unsupported(node.sql("duckdb"))
    above, below = _compared("gte", value, low, code), _compared("lte", value, high, code)
    return code.strict("boolean", f"{above.code} and {below.code}", [above, below])


def _dpipe(node: Any, code: Code, resolve: Resolve) -> Term:
    sides = [_of_kind(term(side, code, resolve), "string") for side in (node.this, node.expression)]
    return code.strict("string", f"{sides[0].code} + {sides[1].code}", sides)


def _substring(node: Any, code: Code, resolve: Resolve) -> Term:
    only(node, "this", "start", "length")
    text, start = _of_kind(term(node.this, code, resolve), "string"), term(node.args["start"], code, resolve)
    length = node.args.get("length")
    count = term(length, code, resolve).literal if length is not None else None
    if not isinstance(start.literal, int) or start.literal < 1 or not isinstance(count, int):
        raise Unsupported(node.sql("duckdb"))
    return code.strict("string", f"{text.code}[{start.literal - 1}:{start.literal - 1 + count}]", [text])


def _cast(node: Any, code: Code, resolve: Resolve) -> Term:
    from ml_assets.serving.sql_times import to_date

    only(node, "this", "to", "_type")
    only(node.to, "this")
    inner, wanted = term(node.this, code, resolve), node.to.sql("duckdb")
    if wanted == "DATE":
        return to_date(inner, code)
    kind = {"DOUBLE": "number", "TEXT": "string", "VARCHAR": "string"}.get(wanted)
    if wanted == "BIGINT" and inner.kind in ("integer", "small", "boolean"):
        return code.strict("integer", f"int({inner.code})", [inner])
    if kind is None:
        raise Unsupported(node.sql("duckdb"))
    return as_kind(inner, "number" if kind == "number" else "string", code)


def as_kind(inner: Term, kind: Kind, code: Code) -> Term:
    """CAST to DOUBLE or VARCHAR."""
    if inner.kind == kind:
        return inner
    if kind == "number" and inner.kind in ("integer", "small", "boolean"):
        return code.strict("number", f"{code.value(float)}({inner.code})", [inner])
    if kind == "string" and inner.kind in ("integer", "small"):
        return code.strict("string", f"{code.value(str)}({inner.code})", [inner])
    raise Unsupported(f"a cast from {inner.kind} to {kind}")


def _of_kind(found: Term, kind: Kind) -> Term:
    if found.kind != kind:
        raise Unsupported(f"{found.kind} where {kind} is expected")
    return found
