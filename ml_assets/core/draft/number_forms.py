"""Numbers as people write them: 12%, 1,234, $5.00, (7.50), 40.4 kg. They are delivered as texts; the model gets the number."""

import re
from dataclasses import dataclass

import polars as pl

from ml_assets.spec.delivery import ReferenceSpec

_CURRENCY = "$€£¥"
_UNIT = "A-Za-zµ°²³/"


@dataclass(frozen=True)
class NumberForm:
    """How all numbers of a column are written: `pattern` is what each of them matches, `decimal` its decimal sign."""

    pattern: str
    decimal: str
    example: str

    def sql(self, name: str) -> str:
        """The number, by a column of texts; between brackets it is negative. A text of another form is an error."""
        digits = f"regexp_replace({name}, '[^0-9{self.decimal}-]', '', 'g')"
        plain = digits if self.decimal == "." else f"replace({digits}, ',', '.')"
        text = f"case when regexp_matches({name}, '{self.pattern}') then {plain} else {name} end"
        return f"case when contains({name}, '(') then -1 else 1 end * cast({text} as double)"


def number_form(known: pl.Series, table: ReferenceSpec) -> NumberForm | None:
    """How the numbers of these texts are written; None where they are not, or without anything but digits."""
    if known.is_empty():
        return None
    group = "," if table.decimal == "." else "."
    decimal, group = re.escape(table.decimal), re.escape(group)
    written = (
        rf"^\s*(?P<open>\()?\s*[+-]?(?P<prefix>[{_CURRENCY}])?\s*[+-]?(?P<whole>\d{{1,3}}(?:{group}\d{{3}})+|\d+)"
        rf"(?:{decimal}\d+)?\s*(?P<suffix>%|[{_CURRENCY}]|[{_UNIT}]{{1,5}})?\s*\)?\s*$"
    )
    parts = known.str.extract_groups(written).struct.unnest()
    if parts["whole"].null_count():
        return None
    prefixes, suffixes = (parts[name].unique().to_list() for name in ("prefix", "suffix"))
    is_grouped = bool(parts["whole"].str.contains(group).any())
    is_decorated = is_grouped or prefixes != [None] or suffixes != [None] or parts["open"].null_count() < len(known)
    if not is_decorated or len(prefixes) > 1 or len(suffixes) > 1:
        return None
    most = max(parts["whole"].str.count_matches(r"\d").to_list()) + 1
    number = rf"(\d{{1,{most}}}|\d{{1,3}}({group}\d{{3}}){{1,{max(1, (most - 1) // 3)}}})({decimal}\d+)?"
    before = rf"{re.escape(prefixes[0])}\s*[+-]?" if prefixes[0] else ""
    after = rf"\s*{re.escape(suffixes[0])}" if suffixes[0] else ""
    has_brackets = parts["open"].null_count() < len(known)
    opened, closed = (r"\(?\s*", r"\s*\)?") if has_brackets else ("", "")
    return NumberForm(rf"^\s*{opened}[+-]?{before}{number}{after}{closed}\s*$", table.decimal, str(known[0]))
