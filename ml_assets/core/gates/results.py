"""The result of a claim in words, the same in Dagster, report, card and MLflow: what was shown is apart from what was only not
disproven."""

from typing import Protocol

SIGNS = {"PASS": "✓", "FAIL": "✗", "UNDECIDED": "?"}


class JudgedClaim(Protocol):
    """A claim with its outcome: as it was judged just now, or as it was recorded."""

    @property
    def kind(self) -> str:
        """`prove` or `veto`."""

    @property
    def outcome(self) -> str:
        """PASS, FAIL, UNDECIDED, or what an earlier version recorded."""


def result_in_words(claim: JudgedClaim) -> str:
    """`proven` of a claim to be shown, `not disproven` of a veto; else `disproven`, `undecided`, or the outcome as it was
    recorded."""
    passed = "not disproven" if claim.kind == "veto" else "proven"
    return {"PASS": passed, "FAIL": "disproven", "UNDECIDED": "undecided"}.get(claim.outcome, claim.outcome)


def marked(claim: JudgedClaim) -> str:
    """The same with a sign in front, for narrow tables."""
    return f"{SIGNS.get(claim.outcome, '')} {result_in_words(claim)}".strip()
