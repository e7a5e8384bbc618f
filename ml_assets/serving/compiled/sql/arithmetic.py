"""Arithmetic of features.sql. Integers are BIGINT: a result outside of its range is left to DuckDB, which refuses it."""

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from operator import add, mul, sub
from typing import Any

from ml_assets.serving.compiled.sql.numpy_code import INT64, Kind, NumpyCode, Term
from ml_assets.serving.compiled.unsupported import Unsupported

_OPERATORS = {"add": "+", "sub": "-", "mul": "*"}
_EXACT_DIGITS = 15
_SURELY_WHOLE = 2.0**62


def whole_literal(number: int, code: NumpyCode) -> Term:
    """Return the term of a number that the SQL spells out, narrower than BIGINT."""
    return Term(code.value(number), "small", literal=number, within=(number, number))


def as_kind(inner: Term, kind: Kind, code: NumpyCode) -> Term:
    """CAST to DOUBLE or VARCHAR. Raises Unsupported."""
    if inner.kind == kind:
        return inner
    if kind == "number" and inner.kind in ("integer", "small", "boolean"):
        return code.strict("number", f"as_double({inner.code})", [inner])
    if kind == "string" and inner.kind in ("integer", "small"):
        return code.strict("string", f"map_text(str, {inner.code})", [inner])
    raise Unsupported(f"a cast from {inner.kind} to {kind}")


def decimal(node: Any, code: NumpyCode) -> Term | None:
    """Return the term of a literal like 0.5 with so few digits that DuckDB's DECIMAL and Python's float are the same DOUBLE."""
    text = node.this if node.key == "literal" and not node.is_string else ""
    digits = text.replace(".", "", 1)
    if "." not in text or not digits.isdigit() or len(digits) > _EXACT_DIGITS:
        return None
    return Term(code.value(float(text)), "number", literal=float(text))


def negated(node: Any, inner: Term, code: NumpyCode) -> Term:
    """Negate a number. Raises Unsupported."""
    if inner.kind == "small" and inner.literal is not None:
        return whole_literal(-inner.literal, code)
    if inner.kind != "number":
        raise Unsupported(node.sql("duckdb"))
    return code.strict("number", f"-{inner.code}", [inner])


def _operation(node: Any, sides: Sequence[Term], code: NumpyCode) -> Term:
    left, right = _numbers(node, sides, code)
    if "number" in (left.kind, right.kind):
        return _finite(code, f"{left.code} {_OPERATORS[node.key]} {right.code}", left, right)
    if "integer" not in (left.kind, right.kind):
        raise Unsupported(f"{node.sql('duckdb')}: arithmetic of integers narrower than BIGINT")
    least, most = _reach(node.key, left.within, right.within)
    expression = f"{left.code} {_OPERATORS[node.key]} {right.code}"
    if INT64[0] <= least and most <= INT64[1]:
        return code.strict("integer", expression, [left, right], within=(least, most))
    # Doubles are rounded, but far from the range's ends they still show that the integers stay within it.
    doubles = f"as_double({left.code}) {_OPERATORS[node.key]} as_double({right.code})"
    code.sure_if(f"(abs({doubles}) < {code.value(_SURELY_WHOLE)})", missing=code.missing([left, right]))
    return code.strict("integer", expression, [left, right])


def _reach(operator: str, left: tuple[int, int], right: tuple[int, int]) -> tuple[int, int]:
    """The least and the largest result of integers within these."""
    apply = {"add": add, "sub": sub, "mul": mul}[operator]
    ends = [apply(one, other) for one in left for other in right]
    return min(ends), max(ends)


def _division(node: Any, sides: Sequence[Term], code: NumpyCode) -> Term:
    left, right = (as_kind(side, "number", code) for side in _numbers(node, sides, code))
    code.sure_if(f"({right.code} != 0)", missing=right.missing)
    return _finite(code, f"{left.code} / {right.code}", left, right)


def _whole_division(node: Any, sides: Sequence[Term], code: NumpyCode) -> Term:
    value, divisor = _divided(node, sides)
    least, most = (math.trunc(Fraction(end, divisor)) for end in value.within)
    quotient = f"{value.code} // {divisor}" if value.within[0] >= 0 else f"whole_quotient({value.code}, {divisor})"
    return code.strict("integer", quotient, [value], within=(least, most))


def _remainder(node: Any, sides: Sequence[Term], code: NumpyCode) -> Term:
    value, divisor = _divided(node, sides)
    if value.within[0] >= 0:
        return code.strict("integer", f"{value.code} % {divisor}", [value], within=(0, divisor - 1))
    return code.strict("integer", f"fmod({value.code}, {divisor})", [value], within=(1 - divisor, divisor - 1))


def _divided(node: Any, sides: Sequence[Term]) -> tuple[Term, int]:
    """The BIGINT and the positive literal that divides it, towards zero as in DuckDB."""
    value, divisor = sides
    if value.kind != "integer" or divisor.kind != "small" or not divisor.literal or divisor.literal < 0:
        raise Unsupported(f"{node.sql('duckdb')}: not a BIGINT by a positive number")
    return value, int(divisor.literal)


def _numbers(node: Any, sides: Sequence[Term], code: NumpyCode) -> Sequence[Term]:
    """Both sides, as DOUBLEs where one of them is."""
    if any(side.kind not in ("integer", "small", "number") for side in sides):
        raise Unsupported(node.sql("duckdb"))
    if any(isinstance(side.literal, float) for side in sides):
        other = [side for side in sides if not isinstance(side.literal, float)]
        if not other or other[0].kind != "number":
            raise Unsupported(f"{node.sql('duckdb')}: DECIMAL arithmetic")
    return [as_kind(side, "number", code) for side in sides] if "number" in {side.kind for side in sides} else sides


def _finite(code: NumpyCode, expression: str, *sides: Term) -> Term:
    """A result that is left to DuckDB unless it is finite."""
    result = code.variable(expression)
    missing = code.missing(sides)
    code.sure_if(f"isfinite({result})", missing=missing)
    return Term(result, "number", missing)


OPERATIONS: Mapping[str, Callable[[Any, Sequence[Term], NumpyCode], Term]] = {
    **dict.fromkeys(_OPERATORS, _operation),
    "div": _division,
    "intdiv": _whole_division,
    "mod": _remainder,
}
"""The function for each operator, of its two sides."""
