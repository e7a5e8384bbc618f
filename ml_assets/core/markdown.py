"""Markdown of values that somebody else chose: shown as they are, with no power over the page.

For GitHub's dialect: HTML, links, mentions, references and fences come from us or not at all.
"""

import re
import textwrap
from collections.abc import Iterable, Sequence

LONGEST = 200
MOST_LINES, MANY_LINES = 4, 100
BREAK = "\u200b"
"""A zero-width space: it keeps GitHub from seeing a mention, a reference or an address."""


def text(value: object) -> str:
    """One line of plain text."""
    escaped = re.sub(r"([\\`*_\[\]<>~&!$])", r"\\\1", _line(value))
    return re.sub(r"(@|#(?=\w)|(?:https?|ftp|mailto|xmpp):|www|GH-)", rf"\1{BREAK}", escaped, flags=re.IGNORECASE)


def prose(value: object) -> str:
    """Plain text of a few sentences, on one line: up to four times as long as `text` shows."""
    return _wrapped(value, MOST_LINES)


def in_full(value: object) -> str:
    """Plain text of any length that a person may have to read whole, on one line: 20,000 characters at most."""
    return _wrapped(value, MANY_LINES)


def _wrapped(value: object, lines: int) -> str:
    shown = str(value)[: (lines + 1) * LONGEST]
    return " ".join(text(line) for line in textwrap.wrap(shown, LONGEST, max_lines=lines, placeholder=" …"))


def code(value: object) -> str:
    """A code span. A pipe, which would end a table's cell, is shown as its mathematical twin."""
    line = _line(value).replace("|", "\u2223") or " "
    fence = "`" * (max(map(len, re.findall("`+", line)), default=0) + 1)
    pad = " " if line[0] == "`" or line[-1] == "`" else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose cells are Markdown already; columns after the first stay left-aligned."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _line(value: object) -> str:
    """One bounded line of printable characters."""
    shown = "".join(c if c.isprintable() else " " for c in str(value)).strip()
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}…"
