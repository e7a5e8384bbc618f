"""A review as a comment of a pull request: Markdown that is bounded, and says first what of the judging itself it changes."""

from collections.abc import Iterable

from ml_assets.core.changes.review import Review
from ml_assets.core.changes.review_page import page
from ml_assets.core.markdown import code

LONGEST = 60_000
"""GitHub refuses a comment of more than 65,536 characters."""
JUDGES = (
    ".github/",
    ".gitlab-ci.yml",
    "CODEOWNERS",
    "Makefile",
    "checks/",
    "ml_assets/builders/evaluation.py",
    "ml_assets/builders/release.py",
    "ml_assets/core/",
    "ml_assets/services/claims.py",
    "ml_assets/services/comparisons.py",
    "ml_assets/services/evidence.py",
    "ml_assets/services/judging/",
    "ml_assets/services/proofs/",
    "ml_assets/services/release_status.py",
    "ml_assets/spec/",
    "ml_assets/stages/endpoint.py",
    "ml_assets/stages/evaluation.py",
    "ml_assets/stages/release.py",
    "product.yaml",
    "requirements.lock",
    "requirements.txt",
    "resources/endpoints/",
    "resources/ledger/",
    "resources/lineage.py",
    "uv.lock",
)
"""Paths, by start or end, whose change can move the verdict itself."""


def comment(review: Review, note: str = "") -> str:
    """The report without pictures, after a line to begin with."""
    text = page(review, has_pictures=False)
    if len(text) > LONGEST:
        text = text[:LONGEST].rpartition("\n\n")[0] + "\n\nThe rest is in the run's artifact.\n"
    return (f"> {note}\n\n" if note else "") + text


def judges_note(paths: Iterable[str]) -> str:
    """A line that names what judges a change and is among its paths; empty where nothing is."""
    names = [*paths]
    touched = [judge for judge in JUDGES if any(name.startswith(judge) or f"/{name}".endswith(f"/{judge}") for name in names)]
    return f"This change touches what judges it: {', '.join(code(judge) for judge in touched)}." if touched else ""
