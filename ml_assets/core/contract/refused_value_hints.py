"""Guesses at what refused values are, with the line to add to product.yaml or to write in contract.py."""

import re
from collections.abc import Sequence

import polars as pl

_DAY_FIRST = re.compile(r"^\d{1,2}([./-])\d{1,2}\1\d{4}( \d{1,2}:\d\d(:\d\d)?)?$")
_EPOCHS = {"epoch_s": r"^\d{9,10}$", "epoch_ms": r"^\d{12,13}$", "epoch_us": r"^\d{15,16}$"}
_TRUE_OR_FALSE, _YES_OR_NO = {"true", "false", "t", "f"}, {"yes", "no", "y", "n"}
_TRUTHS = "true or false? declare it as `bool` in contract.py"
_ANSWERS = "yes or no? declare it as `str` in contract.py; of a label say which is yes: `features: {positive: …}`"
_DECIMAL_COMMA = re.compile(r"^[+-]?\d+,\d+$")


def hint(values: Sequence[object], dtype: pl.DataType) -> str:
    """The line that would have these values read as the type; empty where none is known."""
    texts = [str(value).strip() for value in values]
    if not texts:
        return ""
    if dtype.is_numeric() and all(_DECIMAL_COMMA.match(text) for text in texts):
        return 'a decimal comma? add `decimal: ","`'
    if (dtype.is_numeric() or dtype == pl.Boolean) and (words := {text.lower() for text in texts}) <= _TRUE_OR_FALSE | _YES_OR_NO:
        return _TRUTHS if words <= _TRUE_OR_FALSE else _ANSWERS
    if not isinstance(dtype, pl.Date | pl.Datetime):
        return ""
    for name, pattern in _EPOCHS.items():
        if all(re.match(pattern, text) for text in texts):
            return f"a number of seconds? add `datetime_format: {name}`"
    if dated := [match for text in texts if (match := _DAY_FIRST.match(text))]:
        return f'day first? add `datetime_format: "{_format(dated[0])}"`'
    return ""


def _format(match: re.Match[str]) -> str:
    sign, time = match[1], match[2]
    clock = "" if time is None else (" %H:%M:%S" if match[3] else " %H:%M")
    return f"%d{sign}%m{sign}%Y{clock}"
