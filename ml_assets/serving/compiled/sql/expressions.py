"""SQL expressions as terms: those whose result is known to be DuckDB's to the last bit. The rest is Unsupported."""

from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any

from ml_assets.serving.compiled.sql import arithmetic, dates
from ml_assets.serving.compiled.sql.arithmetic import as_kind, whole_literal
from ml_assets.serving.compiled.sql.numpy_code import Kind, NumpyCode, Term, one_of, same_kind
from ml_assets.serving.compiled.unsupported import Unsupported

Resolve = Callable[[str, str], Term]
"""The term of a column name and its table's alias ("" without one)."""
Rule = Callable[[Any, NumpyCode, Resolve], Term]


def only(node: Any, *allowed: str) -> None:
    """Refuse a node that has other parts than those allowed, which are read. Raises Unsupported."""
    more = [name for name, value in node.args.items() if value and name not in allowed]
    if more:
        raise Unsupported(f"{node.key}: {', '.join(more)}")


def term(node: Any, code: NumpyCode, resolve: Resolve) -> Term:
    """Return the value of the expression. Raises Unsupported."""
    rule = _RULES.get(node.key)
    if rule is None:
        raise Unsupported(f"{node.key} in {node.sql('duckdb')}")
    return rule(node, code, resolve)


def _column(node: Any, code: NumpyCode, resolve: Resolve) -> Term:
    only(node, "this", "table")
    return resolve(node.name.lower(), node.table.lower())


def _paren(node: Any, code: NumpyCode, resolve: Resolve) -> Term:
    return term(node.this, code, resolve)


def _literal(node: Any, code: NumpyCode, resolve: Resolve) -> Term:
    if node.is_string:
        return Term(code.value(node.this), "string", literal=node.this)
    if not node.this.isdigit() or int(node.this) >= 2**31:
        raise Unsupported(f"the number {node.this}: neither INTEGER nor next to a DOUBLE")
    return whole_literal(int(node.this), code)


def _boolean(node: Any, code: NumpyCode, resolve: Resolve) -> Term:
    return Term(code.value(bool(node.this)), "boolean", literal=bool(node.this))


def _coalesce(node: Any, code: NumpyCode, resolve: Resolve) -> Term:
    terms = [term(operand, code, resolve) for operand in (node.this, *node.expressions)]
    same_kind(terms)
    result, missing = terms[-1].code, terms[-1].missing
    for operand in reversed(terms[:-1]):
        if operand.missing is None:
            result, missing = operand.code, None
            continue
        result = code.choice(operand.missing, result, operand.code, operand.kind)
        missing = code.variable(f"{operand.missing} & {missing}") if missing else None
    return one_of(result, missing, terms)


def _case(node: Any, code: NumpyCode, resolve: Resolve) -> Term:
    only(node, "ifs", "default")
    tests = [_of_kind(term(branch.this, code, resolve), "boolean") for branch in node.args["ifs"]]
    default = node.args.get("default")
    results = [term(branch.args["true"], code, resolve) for branch in node.args["ifs"]]
    otherwise = term(default, code, resolve) if default is not None else None
    terms = [*results, *([otherwise] if otherwise else [])]
    same_kind(terms)
    result, missing = (otherwise.code, otherwise.missing or "False") if otherwise else (results[-1].code, "True")
    for test, branch in zip(reversed(tests), reversed(results), strict=True):
        holds = code.variable(f"{test.code} & logical_not({test.missing})") if test.missing else test.code
        result = code.choice(holds, branch.code, result, branch.kind)
        missing = code.variable(f"where({holds}, {branch.missing or 'False'}, {missing})")
    is_never_missing = otherwise is not None and not any(branch.missing for branch in terms)
    return one_of(result, None if is_never_missing else missing, terms)


def _nullif(node: Any, code: NumpyCode, resolve: Resolve) -> Term:
    left = term(node.this, code, resolve)
    equal = _compared("eq", left, term(node.expression, code, resolve), code)
    both = code.variable(f"{equal.code} & logical_not({equal.missing})") if equal.missing else equal.code
    missing = code.variable(f"{left.missing} | {both}") if left.missing else both
    return one_of(left.code, missing, [left])


def _is(node: Any, code: NumpyCode, resolve: Resolve) -> Term:
    from sqlglot import exp

    if not isinstance(node.expression, exp.Null):
        raise Unsupported(node.sql("duckdb"))
    return Term(term(node.this, code, resolve).missing or code.value(False), "boolean")


def _not(node: Any, code: NumpyCode, resolve: Resolve) -> Term:
    inner = _of_kind(term(node.this, code, resolve), "boolean")
    return code.strict("boolean", f"logical_not({inner.code})", [inner])


def _and(node: Any, code: NumpyCode, resolve: Resolve) -> Term:
    """False where a side is False, even next to NULL."""
    sides = [_of_kind(term(side, code, resolve), "boolean") for side in (node.this, node.expression)]
    result = code.variable(f"{sides[0].code} & {sides[1].code}")
    missing = code.missing(sides)
    for side in sides:
        if missing is not None:
            may_hold = f"({side.code} | {side.missing})" if side.missing else side.code
            missing = code.variable(f"{missing} & {may_hold}")
    return Term(result, "boolean", missing)


def _or(node: Any, code: NumpyCode, resolve: Resolve) -> Term:
    """True where a side is True, even next to NULL."""
    sides = [_of_kind(term(side, code, resolve), "boolean") for side in (node.this, node.expression)]
    holds = [code.variable(f"{side.code} & logical_not({side.missing})") if side.missing else side.code for side in sides]
    result = code.variable(f"{holds[0]} | {holds[1]}")
    missing = code.missing(sides)
    return Term(result, "boolean", code.variable(f"{missing} & logical_not({result})") if missing else None)


_COMPARED = {"eq": "==", "neq": "!=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


def _compare(node: Any, code: NumpyCode, resolve: Resolve) -> Term:
    return _compared(node.key, term(node.this, code, resolve), term(node.expression, code, resolve), code)


def _compared(operator: str, left: Term, right: Term, code: NumpyCode) -> Term:
    if same_kind([left, right]) == "number":
        for side in (left, right):  # DuckDB orders NaN, NumPy doesn't
            if side.may_be_nan:
                code.sure_if(f"({side.code} == {side.code})", missing=side.missing)
    return code.strict("boolean", f"{left.code} {_COMPARED[operator]} {right.code}", [left, right])


def _in(node: Any, code: NumpyCode, resolve: Resolve) -> Term:
    only(node, "this", "expressions")
    left, options = term(node.this, code, resolve), [term(option, code, resolve) for option in node.expressions]
    if any(option.literal is None for option in options) or same_kind([left, *options]) not in ("string", "integer", "small"):
        raise Unsupported(node.sql("duckdb"))
    allowed = code.value(frozenset(option.literal for option in options))
    return code.strict("boolean", f"among({allowed}, {left.code})", [left])


def _between(node: Any, code: NumpyCode, resolve: Resolve) -> Term:
    only(node, "this", "low", "high")
    value, low, high = (term(node.args[name], code, resolve) for name in ("this", "low", "high"))
    if not all(side.literal is not None for side in (low, high)):
        raise Unsupported(node.sql("duckdb"))
    above, below = _compared("gte", value, low, code), _compared("lte", value, high, code)
    return code.strict("boolean", f"{above.code} & {below.code}", [above, below])


def _dpipe(node: Any, code: NumpyCode, resolve: Resolve) -> Term:
    sides = [_of_kind(term(side, code, resolve), "string") for side in (node.this, node.expression)]
    return code.strict("string", f"{sides[0].code} + {sides[1].code}", sides)


def _substring(node: Any, code: NumpyCode, resolve: Resolve) -> Term:
    only(node, "this", "start", "length")
    text, start = _of_kind(term(node.this, code, resolve), "string"), term(node.args["start"], code, resolve)
    length = node.args.get("length")
    count = term(length, code, resolve).literal if length is not None else None
    if not isinstance(start.literal, int) or start.literal < 1 or not isinstance(count, int):
        raise Unsupported(node.sql("duckdb"))
    cut = code.value(itemgetter(slice(start.literal - 1, start.literal - 1 + count)))
    return code.strict("string", f"map_text({cut}, {text.code})", [text])


def _cast(node: Any, code: NumpyCode, resolve: Resolve) -> Term:
    only(node, "this", "to", "_type")
    only(node.to, "this")
    inner, wanted = term(node.this, code, resolve), node.to.sql("duckdb")
    if wanted == "DATE":
        return dates.to_date(inner, code)
    kind = {"DOUBLE": "number", "TEXT": "string", "VARCHAR": "string"}.get(wanted)
    if wanted == "BIGINT" and inner.kind in ("integer", "small", "boolean"):
        return code.strict("integer", f"as_integer({inner.code})", [inner], within=_of_whole(inner))
    if kind is None:
        raise Unsupported(node.sql("duckdb"))
    return as_kind(inner, "number" if kind == "number" else "string", code)


def _of_whole(inner: Term) -> tuple[int, int]:
    return (0, 1) if inner.kind == "boolean" else inner.within


def _of_kind(inner: Term, kind: Kind) -> Term:
    if inner.kind != kind:
        raise Unsupported(f"{inner.kind} where {kind} is expected")
    return inner


def _arithmetic(node: Any, code: NumpyCode, resolve: Resolve) -> Term:
    if node.expression.key == "interval":
        return dates.shifted(node, term(node.this, code, resolve), code)
    sides = [arithmetic.decimal(side, code) or term(side, code, resolve) for side in (node.this, node.expression)]
    return arithmetic.OPERATIONS[node.key](node, sides, code)


def _neg(node: Any, code: NumpyCode, resolve: Resolve) -> Term:
    return arithmetic.negated(node, term(node.this, code, resolve), code)


def _part(node: Any, code: NumpyCode, resolve: Resolve) -> Term:
    only(node, "this")
    return dates.part(node, term(node.this, code, resolve), code)


_RULES: Mapping[str, Rule] = {
    "column": _column, "paren": _paren, "literal": _literal, "boolean": _boolean, "coalesce": _coalesce, "case": _case,
    "nullif": _nullif, "is": _is, "not": _not, "and": _and, "or": _or, "in": _in, "between": _between, "dpipe": _dpipe,
    "substring": _substring, "cast": _cast, "neg": _neg,
    **dict.fromkeys(_COMPARED, _compare), **dict.fromkeys(arithmetic.OPERATIONS, _arithmetic),
    **dict.fromkeys(dates.PARTS, _part),
}  # fmt: skip
