"""The discrepancies that `ml-assets verify` reports, and the value that its parts collect them in."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["missing", "changed", "added"]
Progress = Callable[[str], None]
"""Is told now and then how far a long check came."""


@dataclass(frozen=True)
class Discrepancy:
    """Something that is not as it was written. A note is worth knowing and no failure: a crash may leave it.

    `where` is a file, an entry or a row; `message` says what is wrong, `then` what to do about it.
    """

    kind: Kind
    where: str
    message: str
    then: str = ""
    is_note: bool = False

    def to_dict(self) -> dict[str, str | bool]:
        """Return it as JSON values; the message is called `told` there."""
        return {"kind": self.kind, "where": self.where, "told": self.message, "then": self.then, "is_note": self.is_note}


@dataclass
class Discrepancies:
    """Collects them in the order in which they are seen."""

    collected: list[Discrepancy] = field(default_factory=list)

    def add(self, kind: Kind, where: str, message: str, then: str = "") -> None:
        """Record damage; `then` is what to do about it."""
        self.collected.append(Discrepancy(kind, where, message, then))

    def note(self, kind: Kind, where: str, message: str) -> None:
        """Record something that is worth knowing and no failure."""
        self.collected.append(Discrepancy(kind, where, message, is_note=True))

    @property
    def is_clean(self) -> bool:
        """Whether there are notes at most."""
        return all(discrepancy.is_note for discrepancy in self.collected)
