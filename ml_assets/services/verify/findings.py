"""What `ml-assets verify` finds, and the value that its parts collect it in."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["missing", "changed", "added"]
Progress = Callable[[str], None]
"""Is told now and then how far a long check came."""


@dataclass(frozen=True)
class Finding:
    """Something that is not as it was written. A note is worth knowing and no failure: a crash may leave it.

    `where` is a file, an entry or a row; `told` says what is wrong, `then` what to do about it.
    """

    kind: Kind
    where: str
    told: str
    then: str = ""
    is_note: bool = False


@dataclass
class Findings:
    """Collects them in the order found."""

    found: list[Finding] = field(default_factory=list)

    def add(self, kind: Kind, where: str, message: str, then: str = "") -> None:
        self.found.append(Finding(kind, where, message, then))

    def note(self, kind: Kind, where: str, message: str) -> None:
        self.found.append(Finding(kind, where, message, is_note=True))

    @property
    def is_clean(self) -> bool:
        return all(finding.is_note for finding in self.found)
