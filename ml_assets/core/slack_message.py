"""A message about notices in Slack's layout: blocks, and a text for where blocks are not shown."""

from collections.abc import Sequence
from typing import Any

from ml_assets.core.notices import Notice, one_line, subject, worst_first

MARKS = {"error": "🔴", "warning": "🟠", "info": "🔵"}
OVER = "✅"
LONGEST_HEADER, LONGEST_TEXT, LONGEST_FIELD = 150, 3000, 1900
"""The most that Slack takes of each kind of text, in characters; of a field 2000 with its label."""
MOST_IN_DIGEST = 20
"""Notices that a digest shows: two blocks each, of the fifty that Slack takes."""


def slack_message(notices: Sequence[Notice]) -> dict[str, Any]:
    """The payload for an incoming webhook. What others wrote is plain text or code: it mentions no one."""
    shown = worst_first(notices)[:MOST_IN_DIGEST]
    if len(notices) == 1:
        blocks = [_header(f"{_mark(shown[0])} {shown[0].title}"), *_details(shown[0])]
    else:
        blocks = [_header(subject(notices)), *(block for notice in shown for block in (_summary(notice), *_last(notice)))]
    if rest := len(notices) - len(shown):
        blocks.append(_context(f"and {rest} more"))
    return {"text": _escaped(subject(notices), LONGEST_TEXT), "blocks": blocks, "unfurl_links": False}


def _details(notice: Notice) -> list[dict[str, Any]]:
    facts = {"Product": notice.product, "Partition": notice.partition, "Serves now": notice.facts.get("serves", "")}
    fields = [{"type": "mrkdwn", "text": f"*{label}*\n{_code(value)}"} for label, value in facts.items() if value]
    why = [{"type": "section", "text": _plain(notice.why, LONGEST_TEXT)}] if notice.why.strip() else []
    return [*why, *([{"type": "section", "fields": fields}] if fields else []), *_last(notice)]


def _summary(notice: Notice) -> dict[str, Any]:
    return {"type": "section", "text": _plain(f"{_mark(notice)} {notice.subject}\n{notice.why}".strip(), LONGEST_TEXT)}


def _last(notice: Notice) -> list[dict[str, Any]]:
    """The next command, and the place to look."""
    command = f"Next: {_code(notice.command)}" if notice.command else ""
    is_link = notice.link.startswith(("http://", "https://"))
    link = f"<{_address(notice.link)}|Open>" if is_link else ""
    return [
        _context(
            "  ·  ".join(
                filter(None, (command, link, _escaped(f"{notice.at[:16].replace('T', ' ')} UTC  {notice.id}", LONGEST_FIELD)))
            )
        )
    ]


def _mark(notice: Notice) -> str:
    return OVER if notice.is_over else MARKS[notice.severity]


def _header(text: str) -> dict[str, Any]:
    return {"type": "header", "text": _plain(one_line(text), LONGEST_HEADER)}


def _context(text: str) -> dict[str, Any]:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": text}]}


def _plain(text: str, longest: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": _cut("\n".join(map(one_line, text.splitlines())), longest), "emoji": False}


def _code(text: str) -> str:
    """A code span, in which Slack formats nothing."""
    return f"`{_escaped(text.replace('`', 'ˋ'), LONGEST_FIELD)}`"


def _escaped(text: str, longest: int) -> str:
    """Text without the three characters that begin a mention or a link, cut before they are replaced."""
    return _cut(one_line(text), longest // 5).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _address(link: str) -> str:
    return link.translate({ord(c): f"%{ord(c):02X}" for c in "<>| \n"}).replace("&", "&amp;")


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
