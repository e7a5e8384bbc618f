"""What people said about a release, and what it comes to: it waits, it is approved, or it was refused for good. Pure.

Does not belong here: when a person is asked at all (clearance.py), and where decisions are kept (resources.ledger.decisions).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Answer = Literal["approved", "refused"]
Via = Literal["cli", "dagster", "mlflow"]
State = Literal["not asked", "waits", "approved", "refused"]


@dataclass(frozen=True, kw_only=True)
class Said:
    """One decision about exactly one release and its evaluation. `entry` is the hash of its ledger entry."""

    decision: Answer
    by: str
    reason: str
    via: Via = "cli"
    at: str = ""
    entry: str = ""


@dataclass(frozen=True, kw_only=True)
class Override:
    """A decision to let a model through in spite of `reasons`, which are what its evaluation lacked at that time."""

    reasons: tuple[str, ...]
    by: str
    reason: str
    via: Via = "cli"
    at: str = ""
    entry: str = ""

    @property
    def told(self) -> dict[str, str]:
        """As a release's facts name it."""
        return {name: getattr(self, name) for name in ("by", "reason", "via", "at", "entry")}


@dataclass(frozen=True)
class Consent:
    """Where a release stands with people. `by`: whose decision it is so far; `told`: that in words."""

    state: State
    told: str = ""
    by: tuple[str, ...] = ()


NOBODY_ASKED = Consent("not asked")


def person(name: str) -> str:
    """A name as two of them are compared: `Anna ` and `anna` are one person."""
    return " ".join(name.split()).casefold()


def consent(said: Sequence[Said], *, asked: str, four_eyes: bool, overridden_by: str = "") -> Consent:
    """What was said comes to, oldest first. `asked` is why a person is asked, empty if nobody is.

    A refusal is final, whatever was said before or after. With `four_eyes` two people have to agree; whoever overrode a
    verdict is one of them.
    """
    refused = next((each for each in said if each.decision == "refused"), None)
    if refused is not None:
        return Consent("refused", f"refused by {refused.by}: {refused.reason}", (refused.by,))
    if not asked:
        return NOBODY_ASKED
    names = [name for name in (overridden_by, *(each.by for each in said)) if name]
    people = tuple({person(name): name for name in reversed(names)}.values())[::-1]
    if len(people) >= (2 if four_eyes else 1):
        return Consent("approved", "; ".join(f"approved by {each.by}: {each.reason}" for each in said), people)
    second = f" by a second person beside {people[0]}" if people else " by two people" if four_eyes else ""
    return Consent("waits", f"waits for approval{second}: {asked}", people)
