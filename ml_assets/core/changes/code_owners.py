"""CODEOWNERS as GitHub and GitLab read it: who must approve of a path."""

import re
from collections.abc import Sequence
from typing import Literal, TypeAlias

Dialect: TypeAlias = Literal["github", "gitlab"]
_SECTION = re.compile(r"^(?P<optional>\^?)\[(?P<name>[^\]]+)\](?:\[\d+\])?\s*(?P<owners>.*)$")
_PARTS = {"**": ".*", "*": "[^/]*", "?": "[^/]"}


def owners(text: str, path: str, dialect: Dialect) -> list[tuple[str, ...]]:
    """The groups of owners of a file, of each of which one must approve: one group, or on GitLab one per section.

    The last rule that matches wins. Where the file has no owner there is no group. Optional sections require nothing.
    """
    groups: dict[str, tuple[str, ...]] = {}
    section, defaults, is_optional = "", (), False
    for line in text.splitlines():
        words = _words(line)
        if not words or words[0].startswith("!"):
            continue
        heading = _SECTION.match(" ".join(words)) if dialect == "gitlab" else None
        if heading:
            section, is_optional = heading["name"].lower(), bool(heading["optional"])
            defaults = tuple(heading["owners"].split())
        elif not is_optional and _matches(words[0], path, dialect):
            groups[section] = tuple(words[1:]) or defaults
    return [group for group in groups.values() if group]


def people(group: Sequence[str]) -> list[str]:
    """The users among owners, by name in lower case: not teams, groups, roles or e-mail addresses."""
    return [owner[1:].lower() for owner in group if re.fullmatch(r"@[\w.-]+", owner)]


def _words(line: str) -> list[str]:
    """A rule's pattern and owners, without the comment."""
    words = [word.replace("\\ ", " ") for word in re.split(r"(?<!\\)\s+", line.strip()) if word]
    comment = next((place for place, word in enumerate(words) if word.startswith("#")), len(words))
    return [word.removeprefix("\\") for word in words[:comment]]


def _matches(pattern: str, path: str, dialect: Dialect) -> bool:
    """On GitHub a pattern with a slash inside begins at the root, and one that names a folder matches what is in it."""
    is_rooted = pattern.startswith("/") or (dialect == "github" and "/" in pattern.rstrip("/"))
    bare = pattern.strip("/")
    translated = "".join(_PARTS.get(part, re.escape(part)) for part in re.split(r"(\*\*|\*|\?)", bare)).replace(".*/", "(?:.*/)?")
    is_folder = dialect == "github" and not bare.rpartition("/")[2].count("*")
    below = "/.*" if pattern.endswith("/") else "(?:/.*)?" if is_folder else ""
    return re.fullmatch(("" if is_rooted else "(?:.*/)?") + translated + below, path) is not None
