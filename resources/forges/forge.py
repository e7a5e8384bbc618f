"""The interface of a forge that posting uses."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ml_assets.core.changes.code_owners import Dialect
from ml_assets.core.changes.commit_status import CONTEXT, Status
from ml_assets.errors import MlAssetsError

_MARKER = re.compile(rf"<!-- {CONTEXT} (?P<commit>[0-9a-f]{{40}}) (?P<state>[a-z]+) -->\n")


class ForgeRefused(MlAssetsError):
    """A forge, or the settings to reach it with, don't allow what was asked."""


@dataclass(frozen=True)
class ChangeRequest:
    """An open pull request or merge request into the default branch. `head`: the newest commit that it asks to merge."""

    number: int
    head: str
    author: str


class Forge(Protocol):
    """One repository on a forge. Every method raises ForgeRefused."""

    @property
    def dialect(self) -> Dialect:
        """The dialect of the forge's CODEOWNERS."""

    def requests(self, commit: str) -> Sequence[ChangeRequest]:
        """The open requests into the default branch whose head is exactly this commit."""

    def comment(self, request: ChangeRequest, body: str) -> None:
        """Write the one comment of this author on a request, or change it in place; `body` begins with a marker."""

    def code_owners(self) -> str:
        """The text of the default branch's CODEOWNERS; empty without one."""

    def approvers(self, request: ChangeRequest) -> set[str]:
        """The names, in lower case, of the people who approve of the request's head commit."""

    def post_status(self, commit: str, status: Status) -> None:
        """Set the status of a commit."""


def marked(body: str, commit: str, state: str) -> str:
    """A comment with the hidden line that it is found by, and that says what it is about."""
    return f"<!-- {CONTEXT} {commit} {state} -->\n{body}"


def marker(body: object) -> tuple[str, str] | None:
    """The commit and the state of a comment that begins with the hidden line."""
    match = _MARKER.match(body) if isinstance(body, str) else None
    return (match["commit"], match["state"]) if match else None


def required(environ: Mapping[str, str], name: str, reason: str) -> str:
    """The value of a variable. Raises ForgeRefused where it isn't set, with the reason why it should be."""
    value = environ.get(name, "").strip()
    if not value:
        raise ForgeRefused(f"{name} is not set: {reason}")
    return value
