"""Straight-line NumPy that features.sql is compiled to: one assignment per SQL operation, on whole columns.

A Term is a value of each row that is being computed: the name of a Python variable that holds an array with it (or one value
that all rows have), and the name of another with the rows where it is NULL. What the array holds in those rows means nothing, and
no operation raises for it. Which SQL means what is not here.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ml_assets.serving.compiled.sql import column_functions
from ml_assets.serving.compiled.unsupported import Unsupported
from ml_assets.serving.plain.feature_values import FeatureValues

if TYPE_CHECKING:
    from numpy.typing import NDArray

Kind = Literal["string", "integer", "small", "number", "boolean", "timestamp", "date"]
"""`integer` is BIGINT, `small` a narrower one; timestamps are microseconds and dates days since 1970. All are int64 here."""
_VARIABLE = re.compile(r"\bv\d+\b")
INT64 = (-(2**63), 2**63 - 1)


@dataclass(frozen=True)
class Term:
    """A computed value. `missing` is None where it is never NULL; `literal` is set where the SQL spells it out; integers are
    known to be `within` least and most. A number `may_be_nan` without being NULL, and `is_marked` if its array has NaN where it
    is NULL. `given` is the variable with a text field's own values, a tuple with None for NULL, where the term is one."""

    code: str
    kind: Kind
    missing: str | None = None
    literal: Any = None
    within: tuple[int, int] = INT64
    may_be_nan: bool = False
    is_marked: bool = False
    given: str | None = None

    @property
    def listing(self) -> str:
        """The values to iterate over: a text field's own tuple where there is one, which is cheaper than its array."""
        return self.given or self.code


FeatureFunction = Callable[[Sequence[Sequence[Any]], int], "tuple[FeatureValues, NDArray[np.bool_]]"]
"""From the values of the request's fields, by field, and the number of rows, to the features and a mask of the rows that are left
to DuckDB: those whose values leave the range in which the compiled function is known to give DuckDB's result."""


@dataclass
class NumpyCode:
    """The function under construction. Names and values of the SQL never become code: only our own variables do."""

    lines: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    _variables: dict[str, str] = field(default_factory=dict)

    def variable(self, expression: str) -> str:
        """Return the variable that holds the expression; equal expressions share one."""
        if expression not in self._variables:
            self._variables[expression] = f"v{len(self.lines)}"
            self.lines.append(f"{self._variables[expression]} = {expression}")
        return self._variables[expression]

    def value(self, value: Any) -> str:
        """Return a name for a value that all rows share."""
        name = f"c{len(self.values)}"
        self.values[name] = value
        return name

    def sure_if(self, condition: str, *, missing: str | None = None) -> None:
        """Leave rows to DuckDB unless the condition holds or the value is missing."""
        self.lines.append(f"unsure |= logical_not({condition}{f' | {missing}' if missing else ''})")

    def missing(self, operands: Iterable[Term]) -> str | None:
        """Return the mask of rows where at least one operand is NULL; None if there are none."""
        masks = list(dict.fromkeys(term.missing for term in operands if term.missing))
        return self.variable(" | ".join(masks)) if len(masks) > 1 else (masks[0] if masks else None)

    def choice(self, condition: str, one: str, other: str, kind: Kind) -> str:
        """Return a variable with `one` where the condition holds, `other` elsewhere."""
        return self.variable(f"{'choice_of_text' if kind == 'string' else 'where'}({condition}, {one}, {other})")

    def strict(self, kind: Kind, expression: str, operands: Sequence[Term], *, within: tuple[int, int] = INT64) -> Term:
        """Return a term that is NULL where an operand is, else the expression."""
        nan = kind == "number" and any(term.may_be_nan for term in operands)
        return Term(self.variable(expression), kind, self.missing(operands), within=within, may_be_nan=nan)

    def function(self, fields: Sequence[str], results: Sequence[tuple[Term, bool]]) -> FeatureFunction:
        """Return the function from `fields` (variables) to `results`: terms, and whether each is a category."""
        numbers = [term for term, is_category in results if not is_category]
        texts = [term for term, is_category in results if is_category]
        last = [
            f"numbers = empty(({len(numbers)}, count))",
            *(line for row, term in enumerate(numbers) for line in _filled(row, term)),
            f"return FeatureValues(count, numbers, [{', '.join(_listed(term) for term in texts)}]), unsure",
        ]
        body = [f"{', '.join(fields)}, = fields", "unsure = zeros(count, bool_)", *_used(self.lines, last), *last]
        source = "def compute(fields, count):\n" + "".join(f" {line}\n" for line in body)
        space = {**vars(column_functions), "FeatureValues": FeatureValues, **self.values}
        exec(compile(source, "<features.sql>", "exec"), space)
        return _without_warnings(space["compute"])


def _filled(row: int, term: Term) -> list[str]:
    assigned = f"numbers[{row}] = {term.code}"
    is_written = term.missing is None or term.is_marked
    return [assigned] if is_written else [assigned, f"copyto(numbers[{row}], nan, where={term.missing})"]


def _used(lines: Sequence[str], last: Sequence[str]) -> list[str]:
    """The lines, without assignments that nothing reads."""
    read, kept = set(_VARIABLE.findall(" ".join(last))), deque[str]()
    for line in reversed(lines):
        name, is_assignment, _ = line.partition(" = ")
        if not (is_assignment and name not in read and _VARIABLE.fullmatch(name)):
            read.update(_VARIABLE.findall(line))
            kept.appendleft(line)
    return list(kept)


def _listed(term: Term) -> str:
    return f"list({term.given})" if term.given else f"listed({term.code}, {term.missing}, count)"


def _without_warnings(compute: FeatureFunction) -> FeatureFunction:
    """Silence NumPy's warnings: rows that are NULL, or left to DuckDB, may overflow."""

    def quiet(fields: Sequence[Sequence[Any]], count: int) -> "tuple[FeatureValues, NDArray[np.bool_]]":
        with np.errstate(all="ignore"):
            return compute(fields, count)

    return quiet


def same_kind(terms: Sequence[Term]) -> Kind:
    """The kind of a value that is one of the terms."""
    kinds = {term.kind for term in terms}
    if kinds == {"integer", "small"}:
        return "integer"
    if len(kinds) != 1:
        raise Unsupported(f"one value of several types: {', '.join(sorted(kinds))}")
    return kinds.pop()


def one_of(code: str, missing: str | None, terms: Sequence[Term]) -> Term:
    """A term that is, in each row, one of the terms."""
    within = min(term.within[0] for term in terms), max(term.within[1] for term in terms)
    return Term(code, same_kind(terms), missing, within=within, may_be_nan=any(term.may_be_nan for term in terms))


Columns = Mapping[str, Callable[[], Term]]
"""The columns of a relation that has one row for each request; a column costs nothing until it is read."""
