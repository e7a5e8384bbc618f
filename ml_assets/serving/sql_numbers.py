"""Arithmetic of features.sql. Integers are BIGINT: a result outside of its range is left to DuckDB, which refuses it."""

from typing import TYPE_CHECKING, Any

from ml_assets.serving.sql_code import Code, Term, Unsupported
from ml_assets.serving.sql_expressions import Resolve, as_kind, term

if TYPE_CHECKING:
    from ml_assets.serving.sql_expressions import Rule

_OPERATORS = {"add": "+", "sub": "-", "mul": "*"}
_EXACT_DIGITS = 15


def _operation(node: Any, code: Code, resolve: Resolve) -> Term:
    from ml_assets.serving.sql_times import shifted

    if (moment := shifted(node, code, resolve)) is not None:
        return moment
    left, right = _numbers(node, code, resolve)
    if "number" in (left.kind, right.kind):
        return _finite(code, f"{left.code} {_OPERATORS[node.key]} {right.code}", left, right)
    if "integer" not in (left.kind, right.kind):
        raise Unsupported(f"{node.sql('duckdb')}: arithmetic of integers narrower than BIGINT")
    result = code.strict("integer", f"{left.code} {_OPERATORS[node.key]} {right.code}", [left, right])
    bounds = f"-9223372036854775808 <= {result.code} <= 9223372036854775807"
    code.sure_if(f"{result.code} is None or {bounds}" if result.nullable else bounds)
    return result


def _division(node: Any, code: Code, resolve: Resolve) -> Term:
    left, right = (as_kind(side, "number", code) for side in _numbers(node, code, resolve))
    code.sure_if(f"{right.code} != 0")
    return _finite(code, f"{left.code} / {right.code}", left, right)


def _whole_division(node: Any, code: Code, resolve: Resolve) -> Term:
    value, divisor = _divided(node, code, resolve)
    quotient = f"{value.code} // {divisor} if {value.code} >= 0 else -(-{value.code} // {divisor})"
    return code.strict("integer", f"({quotient})", [value])


def _remainder(node: Any, code: Code, resolve: Resolve) -> Term:
    value, divisor = _divided(node, code, resolve)
    rest = f"{value.code} % {divisor} if {value.code} >= 0 else -(-{value.code} % {divisor})"
    return code.strict("integer", f"({rest})", [value])


def _negated(node: Any, code: Code, resolve: Resolve) -> Term:
    inner = term(node.this, code, resolve)
    if inner.kind == "small" and inner.literal is not None:
        return Term(code.value(-inner.literal), "small", False, -inner.literal)
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
    return Term(code.value(float(text)), "number", False, float(text))


def _finite(code: Code, expression: str, *sides: Term) -> Term:
    result = code.strict("number", expression, sides)
    finite = f"{result.code} - {result.code} == 0"
    code.sure_if(f"{result.code} is None or {finite}" if result.nullable else finite)
    return result


RULES: "dict[str, Rule]" = {
    **dict.fromkeys(_OPERATORS, _operation),
    "div": _division,
    "intdiv": _whole_division,
    "mod": _remainder,
    "neg": _negated,
}
