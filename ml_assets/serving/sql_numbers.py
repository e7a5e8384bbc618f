"""Arithmetic of features.sql. Integers are BIGINT: a result outside of its range is left to DuckDB, which refuses it."""

import math
from fractions import Fraction
from operator import add, mul, sub
from typing import TYPE_CHECKING, Any

from ml_assets.serving.sql_code import INT64, Code, Term, Unsupported
from ml_assets.serving.sql_expressions import Resolve, as_kind, term, whole_literal

if TYPE_CHECKING:
    from ml_assets.serving.sql_expressions import Rule

_OPERATORS = {"add": "+", "sub": "-", "mul": "*"}
_EXACT_DIGITS = 15
_SURELY_WHOLE = 2.0**62


def _operation(node: Any, code: Code, resolve: Resolve) -> Term:
    from ml_assets.serving.sql_times import shifted

    if (moment := shifted(node, code, resolve)) is not None:
        return moment
    left, right = _numbers(node, code, resolve)
    if "number" in (left.kind, right.kind):
        return _finite(code, f"{left.code} {_OPERATORS[node.key]} {right.code}", left, right)
    if "integer" not in (left.kind, right.kind):
        raise Unsupported(f"{node.sql('duckdb')}: arithmetic of integers narrower than BIGINT")
    least, most = _reach(node.key, left.within, right.within)
    expression = f"{left.code} {_OPERATORS[node.key]} {right.code}"
    if INT64[0] <= least and most <= INT64[1]:
        return code.strict("integer", expression, [left, right], within=(least, most))
    # Far from the range's ends, doubles tell whether integers stay within it.
    doubles = f"as_double({left.code}) {_OPERATORS[node.key]} as_double({right.code})"
    code.sure_if(f"(abs({doubles}) < {code.value(_SURELY_WHOLE)})", missing=code.missing([left, right]))
    return code.strict("integer", expression, [left, right])


def _reach(operator: str, left: tuple[int, int], right: tuple[int, int]) -> tuple[int, int]:
    """The least and the largest result of integers within these."""
    apply = {"add": add, "sub": sub, "mul": mul}[operator]
    ends = [apply(one, other) for one in left for other in right]
    return min(ends), max(ends)


def _division(node: Any, code: Code, resolve: Resolve) -> Term:
    left, right = (as_kind(side, "number", code) for side in _numbers(node, code, resolve))
    code.sure_if(f"({right.code} != 0)", missing=right.missing)
    return _finite(code, f"{left.code} / {right.code}", left, right)


def _whole_division(node: Any, code: Code, resolve: Resolve) -> Term:
    value, divisor = _divided(node, code, resolve)
    least, most = (math.trunc(Fraction(end, divisor)) for end in value.within)
    quotient = f"{value.code} // {divisor}" if value.within[0] >= 0 else f"whole_quotient({value.code}, {divisor})"
    return code.strict("integer", quotient, [value], within=(least, most))


def _remainder(node: Any, code: Code, resolve: Resolve) -> Term:
    value, divisor = _divided(node, code, resolve)
    if value.within[0] >= 0:
        return code.strict("integer", f"{value.code} % {divisor}", [value], within=(0, divisor - 1))
    return code.strict("integer", f"fmod({value.code}, {divisor})", [value], within=(1 - divisor, divisor - 1))


def _negated(node: Any, code: Code, resolve: Resolve) -> Term:
    inner = term(node.this, code, resolve)
    if inner.kind == "small" and inner.literal is not None:
        return whole_literal(-inner.literal, code)
    if inner.kind != "number":
        raise Unsupported(node.sql("duckdb"))
    return code.strict("number", f"-{inner.code}", [inner])


def _divided(node: Any, code: Code, resolve: Resolve) -> tuple[Term, int]:
    """The BIGINT and the positive literal that divides it, towards zero as in DuckDB."""
    value, divisor = term(node.this, code, resolve), term(node.expression, code, resolve)
    if value.kind != "integer" or divisor.kind != "small" or not divisor.literal or divisor.literal < 0:
        raise Unsupported(f"{node.sql('duckdb')}: not a BIGINT by a positive number")
    return value, int(divisor.literal)


def _numbers(node: Any, code: Code, resolve: Resolve) -> list[Term]:
    """Both sides; what stands beside a DOUBLE becomes one."""
    sides = [_decimal(side, code) or term(side, code, resolve) for side in (node.this, node.expression)]
    if any(side.kind not in ("integer", "small", "number") for side in sides):
        raise Unsupported(node.sql("duckdb"))
    if any(_decimal(side, code) for side in (node.this, node.expression)):
        other = [side for side in sides if not isinstance(side.literal, float)]
        if not other or other[0].kind != "number":
            raise Unsupported(f"{node.sql('duckdb')}: DECIMAL arithmetic")
    return [as_kind(side, "number", code) for side in sides] if "number" in {side.kind for side in sides} else sides


def _decimal(node: Any, code: Code) -> Term | None:
    """A literal like 0.5, exact enough that DuckDB's DECIMAL and Python's float are the same DOUBLE."""
    text = node.this if node.key == "literal" and not node.is_string else ""
    digits = text.replace(".", "", 1)
    if "." not in text or not digits.isdigit() or len(digits) > _EXACT_DIGITS:
        return None
    return Term(code.value(float(text)), "number", literal=float(text))


def _finite(code: Code, expression: str, *sides: Term) -> Term:
    """A result that is left to DuckDB unless it is finite."""
    result = code.let(expression)
    missing = code.missing(sides)
    code.sure_if(f"isfinite({result})", missing=missing)
    return Term(result, "number", missing)


RULES: "dict[str, Rule]" = {
    **dict.fromkeys(_OPERATORS, _operation),
    "div": _division,
    "intdiv": _whole_division,
    "mod": _remainder,
    "neg": _negated,
}
