"""Straight-line Python, one assignment per SQL operation: what features.sql is compiled to. Which SQL means what is not here.

A Term is a value of the row that is being computed: the name of a Python variable, its kind, and whether it may be None (NULL).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["string", "integer", "small", "number", "boolean", "timestamp", "date"]
"""`integer` is BIGINT, `small` a narrower one; timestamps are microseconds and dates days since 1970, both as int."""


class Unsupported(Exception):
    """SQL whose result on every row is not known here to be DuckDB's."""


class Unsure(Exception):
    """A row whose values leave the range in which the compiled function is known to give DuckDB's result."""


@dataclass(frozen=True)
class Term:
    """A computed value; `literal` is set where the SQL spells it out."""

    code: str
    kind: Kind
    nullable: bool
    literal: Any = None


Row = tuple[Any, ...]
RowFunction = Callable[[Sequence[Row]], list[Row]]


@dataclass
class Code:
    """The function under construction. Names and values of the SQL never become code: only our own variables do."""

    lines: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=lambda: {"Unsure": Unsure})

    def let(self, expression: str) -> str:
        """A new variable for the expression."""
        self.lines.append(f"v{len(self.lines)} = {expression}")
        return f"v{len(self.lines) - 1}"

    def value(self, value: Any) -> str:
        """A name for a value that is fixed for all rows."""
        name = f"c{len(self.values)}"
        self.values[name] = value
        return name

    def sure_if(self, condition: str) -> None:
        """Give the row up to DuckDB unless the condition holds."""
        self.lines.append(f"if not ({condition}): raise Unsure")

    def unpack(self, count: int, expression: str) -> list[str]:
        """New variables for the items of a tuple."""
        names = [f"u{len(self.lines)}_{position}" for position in range(count)]
        self.lines.append(f"{', '.join(names)}, = {expression}")
        return names

    def strict(self, kind: Kind, expression: str, operands: Iterable[Term]) -> Term:
        """A term that is NULL where an operand is, else the expression."""
        nullable = [term.code for term in operands if term.nullable]
        missing = " or ".join(f"{code} is None" for code in nullable)
        return Term(self.let(f"None if {missing} else {expression}" if missing else expression), kind, bool(nullable))

    def function(self, fields: Sequence[str], results: Sequence[str]) -> RowFunction:
        """The function from rows with `fields` (variables) to rows with `results`."""
        body = "\n".join(f"  {line}" for line in self.lines)
        source = (
            f"def compute(rows):\n out = []\n add = out.append\n for {', '.join(fields)}, in rows:\n{body}\n"
            f"  add(({', '.join(results)},))\n return out\n"
        )
        space = dict(self.values)
        exec(compile(source, "<features.sql>", "exec"), space)
        function: RowFunction = space["compute"]
        return function


def same_kind(terms: Sequence[Term]) -> Kind:
    """The kind of a value that is one of the terms."""
    kinds = {term.kind for term in terms}
    if kinds == {"integer", "small"}:
        return "integer"
    if len(kinds) != 1:
        raise Unsupported(f"one value of several types: {', '.join(sorted(kinds))}")
    return kinds.pop()


Columns = Mapping[str, Callable[[], Term]]
"""The columns of a relation that has one row for each request; a column costs nothing until it is asked for."""
