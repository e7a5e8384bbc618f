"""The language of gates: one comparison of measured numbers, and nothing that cannot be analysed.

    comparison = sum (">" | "<") sum
    sum        = ["-"] term { ("+" | "-") term }
    term       = [number "*"] measure | number
    measure    = metric "(" model [ "," column "=" level ] ")"
               | "ratio" "(" metric [ "," model ] "," "by:" ( column | "[" column { "," column } "]" ) ")"
               | "disagreement" "(" model "," model ")"
    model      = "candidate" | "champion" | "anchor" | "baseline"

Belongs here: from text to an analysable form, and what is allowed. Does not: measuring (core.gates).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from ml_assets.errors import MlAssetsError

Model: TypeAlias = Literal["candidate", "champion", "anchor", "baseline"]
Kind: TypeAlias = Literal["metric", "ratio", "disagreement"]
MODELS: tuple[Model, ...] = get_args(Model)
CROSSED = ", "
"""Between the columns whose levels are taken together."""
_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?)"
    r"|(?P<name>[A-Za-z_]\w*)|\"(?P<quoted>[^\"]*)\"|(?P<sign>[-+*(),:=<>\[\]]))"
)
_LEVEL = re.compile(r"\s*(?:\"([^\"]*)\"|([^,()<>\"]+))")


class ClaimTextError(MlAssetsError):
    """A claim's text that is not in the language; says where it stopped being, and what is allowed there."""


@dataclass(frozen=True)
class Measure:
    """One measured number: a metric of a model, on all rows or on those with one level of a column.

    `ratio` is the smallest of a group's metric over another's, over all pairs of groups of the column `by`; of several columns
    (`column` names them with CROSSED between) a group has one level of each.
    """

    kind: Kind
    models: tuple[Model, ...]
    metric: str = ""
    column: str = ""
    level: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns whose levels divide the rows."""
        return tuple(self.column.split(CROSSED)) if self.column else ()

    def __str__(self) -> str:
        """Return the measure as product.yaml writes it."""
        match self.kind:
            case "ratio":
                by = f"[{self.column}]" if len(self.columns) > 1 else self.column
                return f"ratio({self.metric}, {self.models[0]}, by: {by})"
            case "metric":
                where = f", {self.column}={self.level}" if self.column else ""
                return f"{self.metric}({self.models[0]}{where})"
        return f"{self.kind}({', '.join(self.models)})"


@dataclass(frozen=True)
class ClaimForm:
    """`sum of weight * measure` is `>` or `<` than `constant`: all measures of the text are in `terms`, those of its right side
    with the other sign, and all constants in `constant`."""

    text: str
    terms: tuple[tuple[float, Measure], ...]
    sign: Literal[">", "<"]
    constant: float

    @property
    def models(self) -> frozenset[Model]:
        """Every model that is measured."""
        return frozenset(model for _, measure in self.terms for model in measure.models)

    @property
    def measures(self) -> tuple[Measure, ...]:
        """The measures of all terms, in order."""
        return tuple(measure for _, measure in self.terms)


def parse(text: str) -> ClaimForm:
    """The form of a claim's text. Raises ClaimTextError."""
    return _Parser(text).comparison()


class _Parser:
    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def comparison(self) -> ClaimForm:
        """The claim, which is the whole text. Raises ClaimTextError."""
        left, less = self._sum()
        sign = self._sign("<", ">", what="a comparison: > or <")
        right, limit = self._sum()
        if (rest := self.text[self.at :].strip()) != "":
            raise self._error(f"one comparison is all that a claim can say; found '{rest}' after it")
        terms = [*left, *((-weight, measure) for weight, measure in right)]
        if not terms:
            raise self._error("measures nothing; a claim compares a metric of a model with a constant or another one")
        return ClaimForm(self.text.strip(), tuple(terms), ">" if sign == ">" else "<", limit - less)

    def _sum(self) -> tuple[list[tuple[float, Measure]], float]:
        terms: list[tuple[float, Measure]] = []
        constant, weight = 0.0, -1.0 if self._take("-") else 1.0
        while True:
            number = self._take_number()
            if number is not None and not self._take("*"):
                constant += weight * number
            else:
                terms.append((weight * (1.0 if number is None else number), self._measure()))
            if self._take("+"):
                weight = 1.0
            elif self._take("-"):
                weight = -1.0
            else:
                return terms, constant

    def _measure(self) -> Measure:
        name = self._name("a metric of a model, such as roc_auc(candidate)")
        self._sign("(", what=f"'(' after {name}")
        match name:
            case "ratio":
                measure = self._ratio()
            case "disagreement":
                first = self._model()
                self._sign(",", what="a second model: disagreement(candidate, champion)")
                measure = Measure("disagreement", (first, self._model()))
            case _:
                measure = self._metric(name)
        self._sign(")", what="')'")
        return measure

    def _metric(self, name: str) -> Measure:
        model = self._model()
        if not self._take(","):
            return Measure("metric", (model,), name)
        column = self._name("a column of a slice: column=level")
        self._sign("=", what=f"'=' after the slice's column {column}")
        match = _LEVEL.match(self.text, self.at)
        if match is None:
            raise self._error(f"expected the level of {column}")
        self.at = match.end()
        level = match.group(1) if match.group(1) is not None else match.group(2).strip()
        return Measure("metric", (model,), name, column, level)

    def _ratio(self) -> Measure:
        metric, model = self._name("a metric"), "candidate"
        self._sign(",", what="'by: column', as in ratio(selection_rate, by: origin)")
        word = self._name("'by: column' or a model")
        if word in MODELS:
            model = word
            self._sign(",", what="'by: column'")
            word = self._name("'by: column'")
        if word != "by":
            raise self._error(f"found '{word}'; a ratio is between the groups of a column: 'by: column'")
        self._sign(":", "=", what="':' after by")
        return Measure("ratio", (_as_model(model),), metric, self._columns())

    def _columns(self) -> str:
        """One column, or several between brackets: their names in order, CROSSED between."""
        if not self._take("["):
            return self._name("a column")
        names = [self._name("a column")]
        while self._take(","):
            names.append(self._name("a column"))
        self._sign("]", what="']' after the columns")
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise self._error(f"by: names {', '.join(twice)} twice")
        return CROSSED.join(names)

    def _model(self) -> Model:
        name = self._name(f"a model: {', '.join(MODELS)}")
        if name not in MODELS:
            raise self._error(f"'{name}' is not a model; allowed: {', '.join(MODELS)}")
        return _as_model(name)

    def _peek(self) -> re.Match[str] | None:
        return _TOKEN.match(self.text, self.at)

    def _take(self, *signs: str) -> str | None:
        token = self._peek()
        if token is None or token.group("sign") not in signs:
            return None
        self.at = token.end()
        return token.group("sign")

    def _take_number(self) -> float | None:
        token = self._peek()
        if token is None or token.group("number") is None:
            return None
        self.at = token.end()
        return float(token.group("number"))

    def _sign(self, *signs: str, what: str) -> str:
        sign = self._take(*signs)
        if sign is None:
            raise self._error(f"expected {what}")
        return sign

    def _name(self, what: str) -> str:
        token = self._peek()
        if token is None or token.group("name") is None:
            raise self._error(f"expected {what}")
        self.at = token.end()
        return token.group("name")

    def _error(self, message: str) -> ClaimTextError:
        if self.at >= len(self.text.rstrip()) and self.text.count("(") > self.text.count(")"):
            message += "; the text ends inside of a parenthesis: YAML cuts an unquoted text at a comma, so quote it"
        return ClaimTextError(f"at position {self.at + 1} of '{self.text}': {message}")


def _as_model(name: str) -> Model:
    return next(model for model in MODELS if model == name)


def measures(comparisons: Sequence[ClaimForm]) -> Iterator[Measure]:
    """Every measure of these comparisons, once."""
    yield from dict.fromkeys(measure for comparison in comparisons for measure in comparison.measures)
