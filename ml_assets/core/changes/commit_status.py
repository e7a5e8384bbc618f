"""The status that a review gives to its commit on a forge: a state, and a line that says why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ml_assets.core.changes.code_owners import Dialect, owners, people
from ml_assets.core.changes.review import Review

State: TypeAlias = Literal["success", "failure", "pending", "error"]
CONTEXT = "ml-assets/change"
LONGEST = 140
"""GitHub refuses a longer description."""


@dataclass(frozen=True)
class Status:
    """`description`: at most 140 printable characters."""

    state: State
    description: str


@dataclass(frozen=True)
class ForgeApprovals:
    """Names of the approvers of the head commit, in lower case; the default branch's CODEOWNERS; each product's path there."""

    approvers: frozenset[str]
    code_owners: str
    paths: Mapping[str, str]
    dialect: Dialect

    def waits_for(self, review: Review) -> str:
        """The owners whose approval of an acknowledged weakening is missing; empty if nobody's is."""
        for product in dict.fromkeys(item.product for item in review.acknowledged):
            path = self.paths.get(product)
            groups = owners(self.code_owners, path, self.dialect) if path else []
            if not groups:
                return f"{path or product} has none in CODEOWNERS"
            for group in groups:
                if not self.approvers.intersection(people(group)):
                    return _named(group)
        return ""


def status_of(review: Review | None, approvals: ForgeApprovals | None = None) -> Status:
    """The status of a commit by its review, or without one. An acknowledged weakening waits until `approvals` are given."""
    if review is None:
        return Status("error", "no report: the change could not be judged; the job's log says why")
    reason = next(iter(review.reasons), "no reason is given")
    if review.exit_code:
        return Status("failure", _line(f"{review.outcome}: {reason}"))
    if not review.acknowledged:
        return Status("success", _line(f"{review.outcome}: {reason}"))
    names = ", ".join(f"{item.product}/{item.name}" for item in review.acknowledged)
    missing = approvals.waits_for(review) if approvals else "no approvals were read"
    if missing:
        line = f"acknowledged; waits for a code owner's approval: {missing}"
        return Status("pending", _line(f"{_line(names, LONGEST - len(line) - 1)} {line}"))
    return Status("success", _line(f"{review.outcome}: {reason}; a code owner approved of {names}"))


def _named(group: Sequence[str]) -> str:
    """Users by name, then those who cannot be counted."""
    counted = [owner for owner in group if people([owner])]
    others = [owner for owner in group if not people([owner])]
    return " or ".join(counted) + (" " if counted and others else "") + (f"({', '.join(others)} not counted)" if others else "")


def _line(text: str, longest: int = LONGEST) -> str:
    """One bounded line of characters that GitHub takes in a description."""
    shown = "".join(c if c.isprintable() and ord(c) < 0x10000 else " " for c in text)
    longest = max(longest, 20)
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"
