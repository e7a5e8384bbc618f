"""The result of a claim in words, the same in Dagster, report, card and MLflow: what was shown is apart from what was only not
disproven."""

from ml_assets.core.lineage.verdict_facts import ClaimFacts

SIGNS = {"PASS": "✓", "FAIL": "✗", "UNDECIDED": "?"}


def result_in_words(claim: ClaimFacts) -> str:
    """`proven` of a claim to be shown, `not disproven` of a veto; else `disproven`, `undecided`, or the outcome as it was
    recorded."""
    passed = "not disproven" if claim.kind == "veto" else "proven"
    return {"PASS": passed, "FAIL": "disproven", "UNDECIDED": "undecided"}.get(claim.outcome, claim.outcome)


def marked(claim: ClaimFacts) -> str:
    """The same with a sign in front, for narrow tables."""
    return f"{SIGNS.get(claim.outcome, '')} {result_in_words(claim)}".strip()
