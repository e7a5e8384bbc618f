"""Where the code and a product came from, as the ledger records it next to a manifest. The code digest is what counts: a
commit tells people where to look."""

from collections.abc import Mapping
from typing import Any, TypedDict

NOT_VERSIONED = "not under version control"
SHORT = 10


class Commit(TypedDict):
    """A commit, and whether the files differed from it; None where a variable named the commit, and nobody could look."""

    commit: str
    is_dirty: bool | None


class Source(TypedDict, total=False):
    """`product` is there only for a product outside of the code's checkout. None: git could not be asked."""

    code: Commit | None
    product: Commit | str | None


def as_source(recorded: Mapping[str, Any] | None) -> Source:
    """The recorded source; entries of before products had one are the code's commit itself."""
    if recorded is None:
        return {"code": None}
    if "commit" in recorded:
        return {"code": {"commit": recorded["commit"], "is_dirty": recorded["is_dirty"]}}
    return {name: recorded[name] for name in ("code", "product") if name in recorded}  # type: ignore[return-value]


def source_text(recorded: Mapping[str, Any] | None) -> str:
    """The source in a few words, nothing where nothing is known."""
    source = as_source(recorded)
    code = _text(source["code"])
    if "product" not in source:
        return code
    product = source["product"]
    state = product if isinstance(product, str) else _text(product)
    return f"{code or 'unknown'}; product {'' if state == NOT_VERSIONED else 'commit '}{state or 'unknown'}"


def commits(recorded: Mapping[str, Any] | None) -> list[Commit]:
    """The commits that are known of the source: the code's, and the product's if it lies elsewhere."""
    return [state for state in as_source(recorded).values() if isinstance(state, dict)]  # type: ignore[misc]


def not_clean(recorded: Mapping[str, Any] | None) -> list[str]:
    """Why the source is no commit as it is, one phrase each for code and product; what is not known is not clean."""
    phrases = ((name, _not_clean(commit)) for name, commit in as_source(recorded).items())
    return [f"its {name} {phrase}" for name, phrase in phrases if phrase]


def _not_clean(commit: Any) -> str:
    """`commit` is a Commit, a phrase where there is none, or None where git could not be asked."""
    if not commit:
        return "comes from an unknown commit"
    if isinstance(commit, str):
        return f"is {commit}"
    if commit["is_dirty"] is None:
        return f"is said to be commit {commit['commit'][:SHORT]}, and nobody could look whether its files differ"
    return f"is commit {commit['commit'][:SHORT]} with uncommitted changes" if commit["is_dirty"] else ""


def _text(commit: Commit | None) -> str:
    return f"{commit['commit'][:SHORT]}{' with changes' if commit['is_dirty'] else ''}" if commit else ""
