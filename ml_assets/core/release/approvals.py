"""Sum up people's decisions about a release: it waits, is approved, or was refused for good. Pure.

Does not belong here: when a person has to be asked (clearance.py), and where decisions are kept (resources.ledger.decisions).
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Answer = Literal["approved", "refused"]
Via = Literal["cli", "dagster", "mlflow"]
State = Literal["not asked", "waits", "approved", "refused"]


@dataclass(frozen=True, kw_only=True)
class _Decision:
    """`entry` is the hash of its ledger entry; `proof` is what showed that it is `by`, empty for a name that was typed."""

    by: str
    reason: str
    via: Via = "cli"
    at: str = ""
    entry: str = ""
    proof: str = ""


@dataclass(frozen=True, kw_only=True)
class PersonDecision(_Decision):
    """One decision about exactly one release and its evaluation."""

    decision: Answer


@dataclass(frozen=True, kw_only=True)
class Override(_Decision):
    """A decision to let a model through despite `reasons`, which its evaluation lacked at that time."""

    reasons: tuple[str, ...]

    @property
    def facts(self) -> dict[str, str]:
        """The override as a release's facts record it."""
        return {name: getattr(self, name) for name in ("by", "reason", "via", "at", "entry")}


@dataclass(frozen=True)
class Approvals:
    """The state of people's decisions about a release. `by`: who decided so far; `message`: the state in words."""

    state: State
    message: str = ""
    by: tuple[str, ...] = ()


FILLERS = "\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0\u2800"
"""Letters and marks that show nothing."""
NOT_ASKED = Approvals("not asked")


def person(name: str) -> str:
    """Normalize a name for comparison: `Anna `, `anna`, and either with letters in another encoding or characters that cannot be
    seen, are one person. Empty where nothing of it can be seen."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", _seen(name)).casefold())
    return " ".join(_seen(folded).split())


def scripts(name: str) -> set[str]:
    """Which of the scripts whose letters look alike a name is written in: LATIN, CYRILLIC, GREEK."""
    return {unicodedata.name(c, "").partition(" ")[0] for c in name if c.isalpha()} & {"LATIN", "CYRILLIC", "GREEK"}


def _seen(name: str) -> str:
    return "".join(character for character in name if not _is_unseen(character))


def _is_unseen(character: str) -> bool:
    """Formats, controls, variation selectors, fillers: what shows nothing of its own."""
    is_format = unicodedata.category(character) in ("Cf", "Cc", "Cn", "Co", "Cs") and not character.isspace()
    return is_format or character in FILLERS or "VARIATION SELECTOR" in unicodedata.name(character, "")


def approvals(
    decisions: Sequence[PersonDecision], *, approval_reason: str, four_eyes: bool, overridden_by: str = ""
) -> Approvals:
    """Sum up the decisions, oldest first. `approval_reason` is why a person has to agree, empty if no one has to.

    A refusal is final, whatever was decided before or after. With `four_eyes` two people have to agree; whoever overrode a
    verdict is one of them.
    """
    refused = next((decision for decision in decisions if decision.decision == "refused"), None)
    if refused is not None:
        return Approvals("refused", f"refused by {refused.by}: {refused.reason}", (refused.by,))
    if not approval_reason:
        return NOT_ASKED
    names = [name for name in (overridden_by, *(decision.by for decision in decisions)) if name]
    people = tuple({person(name): name for name in reversed(names)}.values())[::-1]
    if len(people) >= (2 if four_eyes else 1):
        return Approvals("approved", "; ".join(f"approved by {decision.by}: {decision.reason}" for decision in decisions), people)
    second = f" by a second person as well as {people[0]}" if people else " by two people" if four_eyes else ""
    return Approvals("waits", f"waits for approval{second}: {approval_reason}", people)
